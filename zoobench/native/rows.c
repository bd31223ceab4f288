/* Vectors of LANES numbers, REAL, and LANES rows of numbers that become lanes. REAL is float or double. */
#pragma once

#include <stdint.h>

#define LANES 16
#define IN_SINGLE (sizeof(REAL) == 4)
#define INLINE static inline __attribute__((always_inline))
typedef REAL vec __attribute__((vector_size(sizeof(REAL) * LANES), aligned(sizeof(REAL))));
/* Integers of the same size; as what a comparison gives, all bits are set or none. */
typedef __typeof__(__builtin_choose_expr(IN_SINGLE, (int32_t)0, (int64_t)0)) integer;
typedef integer flags __attribute__((vector_size(sizeof(REAL) * LANES), aligned(sizeof(REAL))));

/* Sixteen rows of sixteen numbers become columns, by exchanging ever larger blocks of pairs of rows. */
#define OF_16(f, s) f(0, s), f(1, s), f(2, s), f(3, s), f(4, s), f(5, s), f(6, s), f(7, s), \
                    f(8, s), f(9, s), f(10, s), f(11, s), f(12, s), f(13, s), f(14, s), f(15, s)
#if __has_builtin(__builtin_shufflevector)
#define SHUFFLE(a, b, f, s) __builtin_shufflevector(a, b, OF_16(f, s))
#else
#define SHUFFLE(a, b, f, s) __builtin_shuffle(a, b, (flags){OF_16(f, s)})
#endif
#define UPPER(j, s) ((j) & (s) ? LANES + ((j) ^ (s)) : (j))
#define LOWER(j, s) ((j) & (s) ? LANES + (j) : (j) ^ (s))
#define EXCHANGE(s)                                                                \
    for (int i = 0; i < LANES; i++)                                                \
        if (!(i & s)) {                                                            \
            const vec upper = rows[i], lower = rows[i | s];                        \
            rows[i] = SHUFFLE(upper, lower, UPPER, s);                             \
            rows[i | s] = SHUFFLE(upper, lower, LOWER, s);                         \
        }

static __attribute__((unused)) void transpose(vec rows[LANES]) {
    EXCHANGE(1)
    EXCHANGE(2)
    EXCHANGE(4)
    EXCHANGE(8)
}
