/* The functions of exact.c, and fma, at arrays of numbers. */
#include <stdint.h>

#include "../../zoobench/native/rows.c"
#include "../../zoobench/native/exact.c"

#define APPLY(name)                                                                 \
    void apply_##name(const REAL *x, REAL *out, long count) {                               \
        for (long i = 0; i + LANES <= count; i += LANES) *(vec *)(out + i) = name##_of(*(const vec *)(x + i)); \
    }
APPLY(exp)
APPLY(tanh)
APPLY(erf)
APPLY(log)

void fused(const REAL *a, const REAL *b, const REAL *c, REAL *out, long count) {
    for (long i = 0; i + LANES <= count; i += LANES)
        *(vec *)(out + i) = fma_of(*(const vec *)(a + i), *(const vec *)(b + i), *(const vec *)(c + i));
}
