/* Convolutions and dropout masks of LANES networks at once, which lie side by side in memory: a vector instruction
 * does the same for each of them, whatever the numbers of channels and images. See lanes.py.
 *
 * Arrays are in C order with the lane last, and channels before it:
 *   images   [images][height][width][channels][lane]
 *   kernels  [row][column][input][output][lane]
 *   biases   [output][lane]
 * Loops keep a block of sums in registers. REAL is float or double.
 */
#include <stdint.h>
#include <string.h>

#include "rows.c"

#include "exact.c"

#define AT_ONCE 6
_Static_assert(AT_ONCE == 6, "blocks of six are named below");
/* Eight lanes. */
typedef REAL half __attribute__((vector_size(sizeof(REAL) * 8), aligned(sizeof(REAL))));
typedef uint64_t words __attribute__((vector_size(64), aligned(8)));
typedef int64_t signed_words __attribute__((vector_size(64), aligned(8)));

typedef struct {
    int images, height, width, inputs, outputs, kernel, stride;
} shape;

INLINE int side(int length, const shape *s) { return (length - s->kernel) / s->stride + 1; }

/* Blocks are compiled for each number of sums, each in a function of its own: where they are inlined into one,
 * compilers run out of registers. A table of them is indexed by both numbers, less 1. */
#define ROW_OF(define, n) define(n, 1) define(n, 2) define(n, 3) define(n, 4)
#define COLUMNS_OF(name, n) {name##_##n##_1, name##_##n##_2, name##_##n##_3, name##_##n##_4}
#define APART static __attribute__((noinline)) void
#define UP_TO_4(left) ((left) < 4 ? (left) : 4)

INLINE void forward_block(const vec *const *in, const vec *w, const vec *bias, vec *out, const shape *s,
                          const int positions, const int channels) {
    vec sum[AT_ONCE][4];
    for (int p = 0; p < positions; p++)
        for (int c = 0; c < channels; c++) sum[p][c] = bias[c];
    const int row = s->kernel * s->inputs;
    for (int y = 0; y < s->kernel; y++) {
        const int from = y * s->width * s->inputs;
        for (int k = 0; k < row; k++, w += s->outputs) {
            vec here[AT_ONCE];
            for (int p = 0; p < positions; p++) here[p] = in[p][from + k];
            for (int c = 0; c < channels; c++) {
                const vec weight = w[c];
                for (int p = 0; p < positions; p++) sum[p][c] = fma_of(here[p], weight, sum[p][c]);
            }
        }
    }
    for (int p = 0; p < positions; p++)
        for (int c = 0; c < channels; c++) out[p * s->outputs + c] = sum[p][c];
}

#define DEFINE(p, c)                                                                                      \
    APART forward_##p##_##c(const vec *const *in, const vec *w, const vec *bias, vec *out, const shape *s) { \
        forward_block(in, w, bias, out, s, p, c);                                                         \
    }
ROW_OF(DEFINE, 1)
ROW_OF(DEFINE, 6)
#undef DEFINE

void conv_forward(const vec *in, const vec *w, const vec *bias, vec *out, const shape *given) {
    static void (*const blocks[2][4])(const vec *const *, const vec *, const vec *, vec *, const shape *) = {
        COLUMNS_OF(forward, 1), COLUMNS_OF(forward, 6)};
    const shape s = *given;
    const int high = side(s.height, &s), wide = side(s.width, &s), count = high * wide;
    for (int image = 0; image < s.images; image++, in += s.height * s.width * s.inputs, out += count * s.outputs)
        for (int c = 0; c < s.outputs; c += 4)
            for (int start = 0, together; start < count; start += together) {
                const vec *from[AT_ONCE];
                together = count - start >= AT_ONCE ? AT_ONCE : 1;
                for (int p = 0; p < together; p++) {
                    const int y = (start + p) / wide, x = (start + p) % wide;
                    from[p] = in + (y * s.width + x) * s.stride * s.inputs;
                }
                blocks[together == AT_ONCE][UP_TO_4(s.outputs - c) - 1](from, w + c, bias + c,
                                                                       out + start * s.outputs + c, &s);
            }
}

INLINE void weights_block(const vec *in, const vec *grad, vec *dw, const shape *s, const int inputs,
                          const int channels) {
    vec sum[4][4];
    for (int k = 0; k < inputs; k++)
        for (int c = 0; c < channels; c++) sum[k][c] = dw[k * s->outputs + c];
    const int high = side(s->height, s), wide = side(s->width, s);
    for (int y = 0; y < high; y++) {
        const vec *from = in + y * s->stride * s->width * s->inputs;
        for (int x = 0; x < wide; x++, from += s->stride * s->inputs, grad += s->outputs) {
            vec here[4];
            for (int k = 0; k < inputs; k++) here[k] = from[k];
            for (int c = 0; c < channels; c++) {
                const vec g = grad[c];
                for (int k = 0; k < inputs; k++) sum[k][c] = fma_of(here[k], g, sum[k][c]);
            }
        }
    }
    for (int k = 0; k < inputs; k++)
        for (int c = 0; c < channels; c++) dw[k * s->outputs + c] = sum[k][c];
}

#define DEFINE(k, c)                                                                                 \
    APART weights_##k##_##c(const vec *in, const vec *grad, vec *dw, const shape *s) {             \
        weights_block(in, grad, dw, s, k, c);                                                        \
    }
ROW_OF(DEFINE, 1)
ROW_OF(DEFINE, 2)
ROW_OF(DEFINE, 3)
ROW_OF(DEFINE, 4)
#undef DEFINE

/* Gradients of kernels and biases are added to dw and db. */
void conv_backward_weights(const vec *in, const vec *grad, vec *dw, vec *db, const shape *given) {
    static void (*const blocks[4][4])(const vec *, const vec *, vec *, const shape *) = {
        COLUMNS_OF(weights, 1), COLUMNS_OF(weights, 2), COLUMNS_OF(weights, 3), COLUMNS_OF(weights, 4)};
    const shape s = *given;
    const int count = side(s.height, &s) * side(s.width, &s), row = s.kernel * s.inputs;
    for (int image = 0; image < s.images; image++, in += s.height * s.width * s.inputs, grad += count * s.outputs) {
        for (int p = 0; p < count; p++)
            for (int c = 0; c < s.outputs; c++) db[c] += grad[p * s.outputs + c];
        for (int y = 0; y < s.kernel; y++)
            for (int c = 0; c < s.outputs; c += 4)
                for (int k = 0; k < row; k += 4) {
                    const vec *from = in + y * s.width * s.inputs + k;
                    vec *to = dw + (y * row + k) * s.outputs + c;
                    blocks[UP_TO_4(row - k) - 1][UP_TO_4(s.outputs - c) - 1](from, grad + c, to, &s);
                }
    }
}

INLINE void inputs_block(const vec *grad, const vec *w, vec *const *to, const shape *s, const int positions,
                         const int inputs) {
    vec sum[4][4];
    for (int p = 0; p < positions; p++)
        for (int k = 0; k < inputs; k++) sum[p][k] = to[p][k];
    for (int c = 0; c < s->outputs; c++) {
        vec here[4];
        for (int p = 0; p < positions; p++) here[p] = grad[p * s->outputs + c];
        for (int k = 0; k < inputs; k++) {
            const vec weight = w[k * s->outputs + c];
            for (int p = 0; p < positions; p++) sum[p][k] = fma_of(here[p], weight, sum[p][k]);
        }
    }
    for (int p = 0; p < positions; p++)
        for (int k = 0; k < inputs; k++) to[p][k] = sum[p][k];
}

#define DEFINE(p, k)                                                                            \
    APART inputs_##p##_##k(const vec *grad, const vec *w, vec *const *to, const shape *s) {   \
        inputs_block(grad, w, to, s, p, k);                                                     \
    }
ROW_OF(DEFINE, 1)
ROW_OF(DEFINE, 4)
#undef DEFINE

void conv_backward_inputs(const vec *grad, const vec *w, vec *din, const shape *given) {
    static void (*const blocks[2][4])(const vec *, const vec *, vec *const *, const shape *) = {
        COLUMNS_OF(inputs, 1), COLUMNS_OF(inputs, 4)};
    const shape s = *given;
    const int wide = side(s.width, &s), count = side(s.height, &s) * wide, row = s.kernel * s.inputs;
    const int size = s.height * s.width * s.inputs;
    memset(din, 0, sizeof(vec) * size * s.images);
    for (int image = 0; image < s.images; image++, din += size, grad += count * s.outputs)
        for (int y = 0; y < s.kernel; y++)
            for (int x = 0; x < s.kernel; x++)
                for (int k = 0; k < s.inputs; k += 4)
                    for (int start = 0, together; start < count; start += together) {
                        vec *to[4];
                        together = count - start >= 4 ? 4 : 1;
                        for (int p = 0; p < together; p++) {
                            const int down = (start + p) / wide * s.stride + y, right = (start + p) % wide * s.stride + x;
                            to[p] = din + (down * s.width + right) * s.inputs + k;
                        }
                        const vec *from = grad + start * s.outputs;
                        const vec *kernel = w + (y * row + x * s.inputs + k) * s.outputs;
                        blocks[together == 4][UP_TO_4(s.inputs - k) - 1](from, kernel, to, &s);
                    }
}

/* Activations, as numbered in lanes.py, and dropout. */
enum { RELU, TANGENT, SIGMOID, GELU, IDENTITY, KINDS };
#define ENTRIES 32
#define ROOT_OF_HALF (REAL)0.70710678118654752
#define DENSITY_AT_0 (REAL)0.39894228040143268

INLINE vec sigmoid_of(vec x) { return 1 / (1 + exp_of(-x)); }
INLINE vec normal_of(vec x) { return (1 + erf_of(x * ROOT_OF_HALF)) / 2; }

/* value[i] = the function at x[i], or its derivative there. NaN stays NaN. */
static void function_of(int kind, const vec *restrict x, vec *restrict value, int entries) {
    const vec zero = {0};
    switch (kind) {
        case RELU:
            for (int i = 0; i < entries; i++) value[i] = EITHER(x[i] < 0, zero, x[i]);
            break;
        case TANGENT:
            for (int i = 0; i < entries; i++) value[i] = tanh_of(x[i]);
            break;
        case SIGMOID:
            for (int i = 0; i < entries; i++) value[i] = sigmoid_of(x[i]);
            break;
        case GELU:
            for (int i = 0; i < entries; i++) value[i] = x[i] * normal_of(x[i]);
            break;
        default:
            for (int i = 0; i < entries; i++) value[i] = x[i];
    }
}

static void derivative_of(int kind, const vec *restrict x, vec *restrict value, int entries) {
    const vec zero = {0}, one = FILLED(1);
    switch (kind) {
        case RELU:
            for (int i = 0; i < entries; i++) value[i] = EITHER(x[i] <= 0, zero, one);
            break;
        case TANGENT:
            for (int i = 0; i < entries; i++) {
                const vec tangent = tanh_of(x[i]);
                value[i] = 1 - tangent * tangent;
            }
            break;
        case SIGMOID:
            for (int i = 0; i < entries; i++) {
                const vec share = sigmoid_of(x[i]);
                value[i] = share * (1 - share);
            }
            break;
        case GELU:
            for (int i = 0; i < entries; i++) {
                const vec density = DENSITY_AT_0 * exp_of(-(x[i] * x[i]) / 2);
                value[i] = normal_of(x[i]) + x[i] * density;
            }
            break;
        default:
            for (int i = 0; i < entries; i++) value[i] = one;
    }
}

/* Apply to every lane its own function. */
static void by_lane(void (*apply)(int, const vec *, vec *, int), const vec *x, vec *of, int entries,
                    const int32_t *kind) {
    vec kinds;
    int here[KINDS] = {0};
    for (int lane = 0; lane < LANES; lane++) {
        kinds[lane] = (REAL)kind[lane];
        here[kind[lane]]++;
    }
    for (int k = 0; k < KINDS; k++) {
        vec value[ENTRIES];
        if (here[k] == LANES) apply(k, x, of, entries);
        if (!here[k] || here[k] == LANES) continue;
        apply(k, x, value, entries);
        const flags chosen = (flags)(kinds == (REAL)k);
        for (int entry = 0; entry < entries; entry++) of[entry] = EITHER(chosen, value[entry], of[entry]);
    }
}

/* The finaliser of SplitMix64. */
INLINE words mixed(words x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

#define KEPT(draws, bound) (-__builtin_convertvector((signed_words)(draws) >= (bound), half))

/* Multiply entries from number `first` on by their dropout masks: scale where one is kept, else 0. Draws are those of
 * streams.bits, four to a word of 64 bits, the lowest first; an entry is kept where its draw, signed, is at least
 * `least`. */
static void drop(half *values, int64_t first, int entries, const words *key, const int16_t *least,
                 const half *scale) {
    signed_words bound[2];
    for (int lane = 0; lane < LANES; lane++) bound[lane / 8][lane % 8] = (int64_t)least[lane] * ((int64_t)1 << 48);
    for (int64_t entry = first; entry < first + entries;) {
        const uint64_t index = (uint64_t)(entry / 4 + 1) * 0x9E3779B97F4A7C15u;
        words low = mixed(key[0] + index), high = mixed(key[1] + index);
        do {
            /* The draw as the highest bits, whose order the lower ones do not change. */
            const int up = 16 * (3 - (int)(entry % 4));
            values[0] *= KEPT(low << up, bound[0]) * scale[0];
            values[1] *= KEPT(high << up, bound[1]) * scale[1];
            values += 2;
        } while (++entry % 4 && entry < first + entries);
    }
}

/* out = dropout(activation(x)); no dropout where key is NULL. */
void activation_forward(const vec *x, vec *out, int64_t entries, const int32_t *kind, int64_t first,
                        const words *key, const int16_t *least, const half *scale) {
    for (int64_t done = 0; done < entries; done += ENTRIES) {
        const int some = entries - done < ENTRIES ? (int)(entries - done) : ENTRIES;
        by_lane(function_of, x + done, out + done, some, kind);
        if (key) drop((half *)(out + done), first + done, some, key, least, scale);
    }
}

/* From the gradient of out that of x. */
void activation_backward(const vec *x, const vec *grad, vec *dx, int64_t entries, const int32_t *kind, int64_t first,
                         const words *key, const int16_t *least, const half *scale) {
    vec slope[ENTRIES];
    for (int64_t done = 0; done < entries; done += ENTRIES) {
        const int some = entries - done < ENTRIES ? (int)(entries - done) : ENTRIES;
        by_lane(derivative_of, x + done, slope, some, kind);
        for (int i = 0; i < some; i++) dx[done + i] = grad[done + i] * slope[i];
        if (key) drop((half *)(dx + done), first + done, some, key, least, scale);
    }
}

/* Maxima of squares of size x size entries, the first where several are equal, and which they were. */
void pool_forward(const vec *in, REAL *out, int32_t *which, const shape *given) {
    const shape s = *given;
    const int high = s.height / s.kernel, wide = s.width / s.kernel;
    for (int image = 0; image < s.images; image++, in += s.height * s.width * s.inputs)
        for (int y = 0; y < high; y++)
            for (int x = 0; x < wide; x++)
                for (int c = 0; c < s.inputs; c++, out += LANES, which += LANES) {
                    for (int down = 0; down < s.kernel; down++)
                        for (int right = 0; right < s.kernel; right++) {
                            const int at = ((y * s.kernel + down) * s.width + x * s.kernel + right) * s.inputs + c;
                            const REAL *found = (const REAL *)(in + at);
                            const int first = !down && !right;
                            for (int lane = 0; lane < LANES; lane++) {
                                const int more = first || found[lane] > out[lane] || found[lane] != found[lane];
                                which[lane] = more ? at : which[lane];
                                out[lane] = more ? found[lane] : out[lane];
                            }
                        }
                }
}

void pool_backward(const REAL *grad, REAL *din, const int32_t *which, const shape *given) {
    const shape s = *given;
    const int64_t size = (int64_t)s.height * s.width * s.inputs * LANES;
    const int count = (s.height / s.kernel) * (s.width / s.kernel) * s.inputs;
    memset(din, 0, sizeof(REAL) * size * s.images);
    for (int image = 0; image < s.images; image++, din += size)
        for (int entry = 0; entry < count; entry++, grad += LANES, which += LANES)
            for (int lane = 0; lane < LANES; lane++) din[which[lane] * LANES + lane] = grad[lane];
}
