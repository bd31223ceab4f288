/* Steps of optimizers, entry by entry, in the order of operations of training/optimizers.py: the same bits as there.
 * REAL is float or double. Compile without contraction.
 *
 * weights, gradient, first and second are (runs, size), rate is (runs); decay is (runs, size) or, where `shared`, (runs),
 * NULL where nothing decays.
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "rows.c"

#include "exact.c"

enum { ADAM, SGD, RMSPROP };

typedef struct {
    int kind, decoupled, shared, momentum;
    /* What is kept of the first and the second moment, and what is taken of the gradient. */
    double keep_first, take_first, keep_second, take_second, epsilon, correct_first, correct_second;
} rule;

/* For the check that both have the same fields. */
size_t size_of_rule(void) { return sizeof(rule); }

/* The square root is rounded correctly, and so compiled as one instruction. */
INLINE REAL root(REAL x) { return IN_SINGLE ? (REAL)sqrtf((float)x) : (REAL)sqrt((double)x); }

INLINE REAL direction(const rule r, REAL gradient, REAL *first, REAL *second) {
    if (r.kind == SGD) return r.momentum ? (*first = *first * (REAL)r.keep_first + gradient) : gradient;
    *second = *second * (REAL)r.keep_second + gradient * (REAL)r.take_second * gradient;
    if (r.kind == RMSPROP) return gradient / (root(*second) + (REAL)r.epsilon);
    *first = *first + (gradient - *first) * (REAL)r.take_first;
    return *first / (root(*second) / (REAL)r.correct_second + (REAL)r.epsilon) / (REAL)r.correct_first;
}

#define STEPS(kind_, decays)                                                   \
    for (int64_t i = 0; i < size; i++) {                                       \
        rule here = r;                                                         \
        here.kind = kind_;                                                     \
        REAL weight = w[i], slope = g[i];                                      \
        decays;                                                                \
        w[i] = weight - rate[run] * direction(here, slope, m + i, v + i);      \
    }
#define OF_KIND(decays)                                                        \
    {                                                                          \
        if (r.kind == ADAM) STEPS(ADAM, decays)                                \
        else if (r.kind == SGD) STEPS(SGD, decays)                             \
        else STEPS(RMSPROP, decays)                                            \
    }

void update(REAL *weights, const REAL *gradient, REAL *first, REAL *second, const REAL *rate, const REAL *decay,
            int64_t runs, int64_t size, const rule *given) {
    const rule r = *given;
    const uint64_t found = plain_arithmetic();
    for (int64_t run = 0; run < runs; run++) {
        REAL *restrict w = weights + run * size, *restrict m = first + run * size, *restrict v = second + run * size;
        const REAL *restrict g = gradient + run * size;
        const REAL *restrict own = decay ? decay + (r.shared ? run : run * size) : NULL;
        if (!own) OF_KIND(;)
        else if (r.decoupled && r.shared) OF_KIND(weight *= 1 - rate[run] * own[0])
        else if (r.decoupled) OF_KIND(weight *= 1 - rate[run] * own[i])
        else if (r.shared) OF_KIND(slope += own[0] * weight)
        else OF_KIND(slope += own[i] * weight)
    }
    arithmetic_as_it_was(found);
}
