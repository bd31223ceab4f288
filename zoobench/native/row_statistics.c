/* Mean, variance and order statistics of rows of numbers, LANES rows side by side. See row_statistics.py.
 *
 * A network of comparisons sorts all lanes alike: bitonic merges (Batcher 1968, "Sorting networks and their
 * applications") of ever longer blocks, of which every comparison leaves the smaller number on the left. So numbers
 * beyond the end would be as infinite ones, which stay where they are, and comparisons with them are left out. Blocks
 * are merged as soon as their halves are sorted, while they are in the processor's cache.
 */
#ifndef __AVX512F__
#error "NumPy's sort is faster with shorter vectors"
#endif
#include <immintrin.h>
#include <stdlib.h>
#include <string.h>

#define REAL float
#include "rows.c"

/* Bits of numbers that compare as integers do; those that are not numbers are the largest. */
typedef int32_t keys __attribute__((vector_size(4 * LANES), aligned(4)));
#define LEAF 16

#define FLIP(bits) ((bits) ^ (((bits) >> 31) & INT32_MAX))
#define INFINITE 0x7f800000

/* The smaller number of each lane to the left. */
INLINE void compare(keys *left, keys *right) {
    const __m512i a = (__m512i)*left, b = (__m512i)*right;
    *left = (keys)_mm512_min_epi32(a, b);
    *right = (keys)_mm512_max_epi32(a, b);
}

/* Two sorted halves: each number of the left one with that as far from the middle on the right, and then, in each half,
 * with that a quarter away. */
INLINE void join(keys *v, int start, int length, int count) {
    const int step = length / 4, end = start + length - 1;
    if (end < count) {
        for (int i = 0; i < step; i++) {
            keys a = v[start + i], b = v[start + i + step], c = v[end - i - step], d = v[end - i];
            compare(&a, &d);
            compare(&b, &c);
            compare(&a, &b);
            compare(&c, &d);
            v[start + i] = a, v[start + i + step] = b, v[end - i - step] = c, v[end - i] = d;
        }
        return;
    }
    for (int first = start + end - (count - 1), last = count - 1; first < last; first++, last--)
        compare(v + first, v + last);
    for (int half = start; half < count; half += 2 * step)
        for (int i = half; i < half + step && i + step < count; i++) compare(v + i, v + i + step);
}

#define OF_8(f, step) f(0, step) f(1, step) f(2, step) f(3, step) f(4, step) f(5, step) f(6, step) f(7, step)
/* Pair number i of numbers that are `step` apart, or that mirror each other in blocks of `length`. */
#define APART(i, step) exchange(r, (i) / (step) * 2 * (step) + (i) % (step), (step));
#define ACROSS(i, length) exchange(r, (i) / ((length) / 2) * (length) + (i) % ((length) / 2), \
                                   (length) - 1 - 2 * ((i) % ((length) / 2)));
INLINE void exchange(keys *r, const int left, const int step) { compare(r + left, r + left + step); }

/* LEAF numbers in registers: bitonic ones are merged, others sorted from scratch. */
INLINE void leaf(keys *v, const int from_scratch) {
    keys r[LEAF];
    for (int i = 0; i < LEAF; i++) r[i] = v[i];
    if (from_scratch) {
        OF_8(ACROSS, 2)
        OF_8(ACROSS, 4) OF_8(APART, 1)
        OF_8(ACROSS, 8) OF_8(APART, 2) OF_8(APART, 1)
        OF_8(ACROSS, 16) OF_8(APART, 4) OF_8(APART, 2) OF_8(APART, 1)
    } else {
        OF_8(APART, 8) OF_8(APART, 4) OF_8(APART, 2) OF_8(APART, 1)
    }
    for (int i = 0; i < LEAF; i++) v[i] = r[i];
}

static __attribute__((noinline)) void sort_leaf(keys *v) { leaf(v, 1); }
static __attribute__((noinline)) void merge_leaf(keys *v) { leaf(v, 0); }

/* Sort a bitonic block. `count` is a multiple of LEAF. */
static void merge(keys *v, int start, int length, int count) {
    if (start >= count) return;
    if (length == LEAF) {
        merge_leaf(v + start);
        return;
    }
    const int half = length / 2;
    if (start + length <= count && length >= 4 * LEAF) {
        const int step = length / 4;
        for (int i = start; i < start + step; i++) {
            keys a = v[i], b = v[i + step], c = v[i + 2 * step], d = v[i + 3 * step];
            compare(&a, &c);
            compare(&b, &d);
            compare(&a, &b);
            compare(&c, &d);
            v[i] = a, v[i + step] = b, v[i + 2 * step] = c, v[i + 3 * step] = d;
        }
        for (int part = 0; part < 4; part++) merge(v, start + part * step, step, count);
        return;
    }
    for (int i = start; i < start + half && i + half < count; i++) compare(v + i, v + i + half);
    merge(v, start, half, count);
    merge(v, start + half, half, count);
}

static void sort(keys *v, int start, int length, int count) {
    if (start >= count) return;
    if (length == LEAF) {
        sort_leaf(v + start);
        return;
    }
    const int half = length / 2;
    sort(v, start, half, count);
    if (start + half >= count) return;
    sort(v, start + half, half, count);
    join(v, start, length, count);
    if (length == 2 * LEAF) {
        merge_leaf(v + start);
        merge_leaf(v + start + half);
        return;
    }
    for (int part = 0; part < 4; part++) merge(v, start + part * (length / 4), length / 4, count);
}

/* Sums of LANES rows, in double precision. */
typedef struct {
    __m512d low, high;
} sums;

INLINE sums in_double(keys floats) {
    const __m512 whole = (__m512)floats;
    const __m256 high = (__m256)_mm512_extractf64x4_pd((__m512d)whole, 1);
    return (sums){_mm512_cvtps_pd(_mm512_castps512_ps256(whole)), _mm512_cvtps_pd(high)};
}

/* moments[lane] = mean and variance of `size` numbers. */
static void find_moments(const keys *v, int size, double moments[LANES][2]) {
    sums total = {{0}, {0}}, squares = {{0}, {0}};
    for (int i = 0; i < size; i++) {
        const sums x = in_double(v[i]);
        total.low += x.low, total.high += x.high;
    }
    const sums mean = {total.low / size, total.high / size};
    for (int i = 0; i < size; i++) {
        const sums x = in_double(v[i]);
        squares.low += (x.low - mean.low) * (x.low - mean.low);
        squares.high += (x.high - mean.high) * (x.high - mean.high);
    }
    for (int lane = 0; lane < 8; lane++) {
        moments[lane][0] = mean.low[lane], moments[lane + 8][0] = mean.high[lane];
        moments[lane][1] = squares.low[lane] / size, moments[lane + 8][1] = squares.high[lane] / size;
    }
}

/* Of `size` numbers in each row: moments[row] are mean and variance, ordered[row][i] is number ranks[i], from 0, in
 * ascending order. Rows are `stride` numbers apart. Returns 0, or 1 if there is no memory. */
int row_statistics(const float *values, int64_t stride, int64_t rows, int size, const int64_t *ranks, int wanted,
                   double (*moments)[2], float *ordered) {
    const int count = (size + LEAF - 1) / LEAF * LEAF;
    int length = LEAF;
    while (length < count) length *= 2;
    keys *v = aligned_alloc(64, sizeof(keys) * count);
    if (!v) return 1;
    for (int64_t start = 0; start < rows; start += LANES) {
        const int used = rows - start < LANES ? (int)(rows - start) : LANES;
        const float *from[LANES];
        for (int lane = 0; lane < LANES; lane++) from[lane] = values + stride * (start + (lane < used ? lane : 0));
        int i = 0;
        for (; i + LANES <= size; i += LANES) {
            vec block[LANES];
            for (int lane = 0; lane < LANES; lane++) block[lane] = *(const vec *)(from[lane] + i);
            transpose(block);
            memcpy(v + i, block, sizeof block);
        }
        for (; i < size; i++)
            for (int lane = 0; lane < LANES; lane++) memcpy((int32_t *)(v + i) + lane, from[lane] + i, 4);
        double found[LANES][2];
        find_moments(v, size, found);
        memcpy(moments + start, found, sizeof *found * used);
        for (i = 0; i < size; i++) {
            const keys bits = v[i], no_number = (bits & INT32_MAX) > INFINITE;
            v[i] = (FLIP(bits) & ~no_number) | (no_number & INT32_MAX);
        }
        for (; i < count; i++) v[i] = (keys){0} + INT32_MAX;
        sort(v, 0, length, count);
        for (int lane = 0; lane < used; lane++)
            for (int rank = 0; rank < wanted; rank++) {
                const int32_t key = v[ranks[rank]][lane], bits = FLIP(key);
                memcpy(ordered + (start + lane) * wanted + rank, &bits, 4);
            }
    }
    free(v);
    return 0;
}
