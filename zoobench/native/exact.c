/* Arithmetic that gives the same bits on every processor and by every compiler: IEEE operations in a fixed order, and
 * functions made of them. Nothing here calls a library but `fma` in double precision where there is no instruction for
 * it. Compile without contraction (-ffp-contract=off): products and sums are one operation where FMA says so.
 *
 * Coefficients are those of the Taylor series, but of ERFCX (see below). Errors, in units in the last place, are tested
 * in tests/native/test_exact.py.
 */
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

typedef double wide __attribute__((vector_size(sizeof(double) * LANES), aligned(sizeof(double))));
typedef int64_t wide_flags __attribute__((vector_size(sizeof(int64_t) * LANES), aligned(sizeof(int64_t))));

#define FILLED(x) ((vec){0} + (REAL)(x))
#define SIGN ((flags){0} + (IN_SINGLE ? INT32_MIN : INT64_MIN))
#define EITHER(choose, a, b) ((vec)(((flags)(choose) & (flags)(a)) | (~(flags)(choose) & (flags)(b))))

#if defined(__AVX512F__)
#define PART 64
typedef union { vec v; __m512 singles[sizeof(vec) / PART]; __m512d doubles[sizeof(vec) / PART]; } parts;
#define FMA_SINGLE _mm512_fmadd_ps
#define FMA_DOUBLE _mm512_fmadd_pd
#elif defined(__FMA__)
#define PART 32
typedef union { vec v; __m256 singles[sizeof(vec) / PART]; __m256d doubles[sizeof(vec) / PART]; } parts;
#define FMA_SINGLE _mm256_fmadd_ps
#define FMA_DOUBLE _mm256_fmadd_pd
#elif defined(__aarch64__)
#define PART 16
typedef union { vec v; float32x4_t singles[sizeof(vec) / PART]; float64x2_t doubles[sizeof(vec) / PART]; } parts;
#define FMA_SINGLE(a, b, c) vfmaq_f32(c, a, b)
#define FMA_DOUBLE(a, b, c) vfmaq_f64(c, a, b)
#endif

/* a * b + c, rounded once. */
#ifdef PART
INLINE vec fma_of(vec a, vec b, vec c) {
    const parts x = {a}, y = {b}, z = {c};
    parts sum;
    for (unsigned i = 0; i < sizeof(vec) / PART; i++)
        if (IN_SINGLE)
            sum.singles[i] = FMA_SINGLE(x.singles[i], y.singles[i], z.singles[i]);
        else
            sum.doubles[i] = FMA_DOUBLE(x.doubles[i], y.doubles[i], z.doubles[i]);
    return sum.v;
}
#else
double fma(double, double, double);

static __attribute__((noinline)) vec fma_of(vec a, vec b, vec c) {
    if (!IN_SINGLE) {
        vec sum;
        for (int lane = 0; lane < LANES; lane++) sum[lane] = (REAL)fma((double)a[lane], (double)b[lane], (double)c[lane]);
        return sum;
    }
    /* The product of two numbers in single precision is exact in double precision. The sum is rounded to odd there, so
     * that rounding it again to single precision is as rounding once (Boldo and Melquiond 2008). */
    const wide product = __builtin_convertvector(a, wide) * __builtin_convertvector(b, wide);
    const wide other = __builtin_convertvector(c, wide), sum = product + other;
    const wide back = sum - product, lost = (product - (sum - back)) + (other - back);
    const wide_flags bits = (wide_flags)sum, even = (bits & 1) == 0;
    const wide_flags inexact = (lost > 0) | (lost < 0), away = (lost > 0) == (sum > 0);
    const wide_flags odd = bits + (inexact & even & (1 + 2 * ~away));
    return __builtin_convertvector((wide)odd, vec);
}
#endif

/* 1.5 * 2^23 or 2^52: added to a small number, its last bits are that number, rounded. */
#define MAGIC (IN_SINGLE ? (REAL)12582912.0 : (REAL)6755399441055744.0)
#define MANTISSA (IN_SINGLE ? 23 : 52)
#define BIAS (IN_SINGLE ? 127 : 1023)
#define LOG2_E (REAL)1.4426950408889634
/* ln 2 as a sum, the first with bits to spare. */
#define LN2_HIGH (IN_SINGLE ? (REAL)0.693359375 : (REAL)0.69314718036912382)
#define LN2_LOW (IN_SINGLE ? (REAL)-2.1219444005469058e-4 : (REAL)1.9082149292705877e-10)

/* Coefficients, the highest power first; only the last `terms` are used. */
INLINE vec polynomial(vec x, const double *coefficient, int terms) {
    vec sum = FILLED(coefficient[0]);
    for (int i = 1; i < terms; i++) sum = fma_of(sum, x, FILLED(coefficient[i]));
    return sum;
}

/* 1 / n!, from n = 19 down. */
#define FACTORIALS                                                                                                 \
    1 / 121645100408832000.0, 1 / 6402373705728000.0, 1 / 355687428096000.0, 1 / 20922789888000.0,                 \
        1 / 1307674368000.0, 1 / 87178291200.0, 1 / 6227020800.0, 1 / 479001600.0, 1 / 39916800.0, 1 / 3628800.0,       \
        1 / 362880.0, 1 / 40320.0, 1 / 5040.0, 1 / 720.0, 1 / 120.0, 1 / 24.0, 1 / 6.0, 0.5, 1.0, 1.0

/* x = power * ln 2 + what is returned, which is at most ln 2 / 2. */
INLINE vec reduced(vec x, flags *power) {
    const vec shifted = fma_of(x, FILLED(LOG2_E), FILLED(MAGIC)), whole = shifted - MAGIC;
    *power = (flags)shifted - (flags)FILLED(MAGIC);
    return fma_of(whole, FILLED(-LN2_LOW), fma_of(whole, FILLED(-LN2_HIGH), x));
}

INLINE vec power_of_2(flags power) { return (vec)((power + BIAS) << MANTISSA); }

INLINE vec exp_of(vec x) {
    static const double coefficients[] = {FACTORIALS};
    const vec low = FILLED(IN_SINGLE ? -104 : -746), high = FILLED(IN_SINGLE ? 89 : 710);
    x = EITHER(x < low, low, x);
    x = EITHER(x > high, high, x);
    flags power;
    const vec rest = reduced(x, &power);
    const vec value = IN_SINGLE ? polynomial(rest, coefficients + 12, 8) : polynomial(rest, coefficients + 5, 15);
    const flags half_of_it = power >> 1;
    return value * power_of_2(half_of_it) * power_of_2(power - half_of_it);
}

/* From exp(2 |x|) - 1 = e: e / (e + 2), and near 0, where rounding would show, as |x| and what is missing to it. */
INLINE vec tanh_of(vec x) {
    static const double coefficients[] = {FACTORIALS};
    const flags sign = (flags)x & SIGN;
    const vec size = (vec)((flags)x ^ sign), high = FILLED(IN_SINGLE ? 20 : 44);
    vec twice = size + size;
    twice = EITHER(twice > high, high, twice);
    flags power;
    const flags near = (flags)(size <= (REAL)0.55);
    const vec rest = EITHER(near, twice, reduced(twice, &power));
    power &= ~near;
    const vec series = IN_SINGLE ? polynomial(rest, coefficients + 8, 10) : polynomial(rest, coefficients, 18);
    const vec square = rest * rest, scale = power_of_2(power);
    const vec less_1 = fma_of(fma_of(square, series, rest), scale, scale - 1);
    const vec value = EITHER(near, square * series - size * less_1, less_1) / (less_1 + 2);
    return (vec)((flags)EITHER(near, size + value, value) | sign);
}

/* Of numbers that are positive and normal; what is no number stays so. */
INLINE vec log_of(vec x) {
    static const double coefficients[] = {2 / 23.0, 2 / 21.0, 2 / 19.0, 2 / 17.0, 2 / 15.0, 2 / 13.0,
                                          2 / 11.0, 2 / 9.0,  2 / 7.0,  2 / 5.0,  2 / 3.0};
    const vec root_of_half = FILLED(0.70710678118654752);
    const flags moved = (flags)x - (flags)root_of_half, power = moved >> MANTISSA;
    const vec mantissa = (vec)((flags)x - (power << MANTISSA));
    const vec less_1 = mantissa - 1, ratio = less_1 / (less_1 + 2), square = ratio * ratio;
    const vec series = IN_SINGLE ? polynomial(square, coefficients + 7, 4) : polynomial(square, coefficients, 11);
    /* 2 ratio = less_1 - ratio * less_1. */
    const vec whole = __builtin_convertvector(power, vec);
    const vec rest = ratio * (square * series - less_1);
    const vec value = fma_of(whole, FILLED(LN2_HIGH), less_1 + fma_of(whole, FILLED(LN2_LOW), rest));
    return EITHER(x == x, value, x);
}

/* exp(x^2) (1 - erf(x)) as a polynomial of (x - 2) / (x + 2), from mpmath's `chebyfit` on [1, 4] with an error of 4e-11
 * and on [1, 6] with one of 3e-19. */
#define ERFCX_SINGLE \
    4.98767419334e-5, -0.000939526902183, -0.000847655578671, 0.00699395402508, 0.00373290802735, \
    -0.0789784731471, 0.241658194113, -0.427185848312, 0.255395676311
#define ERFCX_DOUBLE \
    -4.2153010542383209882e-7, -5.3226968556557863375e-7, 1.1780775215625582588e-6, 3.7892156437584639713e-6, \
    1.3926211836188029348e-6, -0.000013968072301771460689, -0.000027579864674305785854, \
    0.000027525480361206066702, 0.00017436116545392263717, 0.000043555602195154722071, \
    -0.00098197702656788892271, -0.00084714325092038440093, 0.0069974617392004437674, 0.0037328924043277639248, \
    -0.078978581015732125421, 0.24165819424246646392, -0.42718584741395839652, 0.25539567631050574375

INLINE vec erf_of(vec x) {
    /* 2 / sqrt(pi) times (-1)^n / (n! (2 n + 1)), from n = 19 down; of the last, what is over 1. */
    static const double coefficients[] = {
        -2.378459885277429425e-19, 4.76334804051506812e-18, -9.063970842808672479e-17,
        1.634261409536715189e-15, -2.783516207210921355e-14, 4.463224263286477345e-13,
        -6.711366855164110378e-12, 9.422759064650410971e-11, -1.229055530171792735e-9, 1.480719281587921724e-8,
        -1.636584469123492432e-7, 1.64621143658892474e-6, -0.00001492565035840625098, 0.0001205533298178966425,
        -0.0008548327023450852833, 0.005223977625442187842, -0.02686617064513125176, 0.1128379167095512574,
        -0.3761263890318375246, 0.1283791670955125739};
    static const double singles[] = {ERFCX_SINGLE}, doubles[] = {ERFCX_DOUBLE};
    const flags sign = (flags)x & SIGN;
    vec size = (vec)((flags)x ^ sign);
    const vec high = FILLED(IN_SINGLE ? 4 : 6), square = x * x;
    const vec series = IN_SINGLE ? polynomial(square, coefficients + 8, 12) : polynomial(square, coefficients, 20);
    const flags near = (flags)(size <= 1);
    size = EITHER(size > high, high, size);
    const vec place = (size - 2) / (size + 2);
    const vec scaled = IN_SINGLE ? polynomial(place, singles, 9) : polynomial(place, doubles, 18);
    const vec far = (vec)((flags)(1 - exp_of(-(size * size)) * scaled) | sign);
    return EITHER(near, fma_of(x, series, x), far);
}

/* Subnormal numbers are kept, and rounding is to nearest, whatever other code of the process has set. */
INLINE uint64_t plain_arithmetic(void) {
#if defined(__x86_64__)
    const uint64_t found = _mm_getcsr();
    _mm_setcsr(0x1F80);
#elif defined(__aarch64__)
    uint64_t found;
    __asm__ volatile("mrs %0, fpcr" : "=r"(found));
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0));
#else
    const uint64_t found = 0;
#endif
    return found;
}

INLINE void arithmetic_as_it_was(uint64_t found) {
#if defined(__x86_64__)
    _mm_setcsr((uint32_t)found);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(found));
#else
    (void)found;
#endif
}
