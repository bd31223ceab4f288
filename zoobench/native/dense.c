/* Gradients of whole networks that have dense layers only, LANES of them at a time. See dense.py.
 *
 * A dense layer on a row of images is a convolution with a kernel of 1 x 1 on a picture as wide as the row; the loops
 * are those of lanes.c.
 */
#include <stdlib.h>

#include "lanes.c"

#define ROW 64

typedef struct {
    int inputs, outputs, biased, activated;
} layer;

/* From logits to the gradient of the losses, in place: (softmax - one) * share, where one is 1 for the label. */
static void cross_entropy_backward(vec *logits, int images, int classes, const int32_t *label, const REAL *share) {
    for (int image = 0; image < images; image++, logits += classes, label += LANES, share += LANES) {
        REAL *value = (REAL *)logits, most[LANES], sum[LANES] = {0};
        for (int lane = 0; lane < LANES; lane++) most[lane] = value[lane];
        for (int c = 1; c < classes; c++)
            for (int lane = 0; lane < LANES; lane++) {
                const REAL here = value[c * LANES + lane];
                most[lane] = here > most[lane] ? here : most[lane];
            }
        for (int c = 0; c < classes; c++)
            for (int lane = 0; lane < LANES; lane++) value[c * LANES + lane] -= most[lane];
        for (int i = 0; i < classes * LANES; i++) value[i] = EXP(value[i]);
        for (int c = 0; c < classes; c++)
            for (int lane = 0; lane < LANES; lane++) sum[lane] += value[c * LANES + lane];
        for (int c = 0; c < classes; c++)
            for (int lane = 0; lane < LANES; lane++) {
                const REAL one = label[lane] == c;
                value[c * LANES + lane] = (value[c * LANES + lane] / sum[lane] - one) * share[lane];
            }
    }
}

/* The runs' weights (size each, [output][input] and biases) and the lanes' ([input][output][lane] and biases). */
static void to_lanes(const REAL *weights, const int64_t *run, vec *to, const layer *layers, int count, int size) {
    for (int64_t l = 0, from = 0; l < count; l++) {
        const int inputs = layers[l].inputs, outputs = layers[l].outputs, biases = outputs * layers[l].biased;
        for (int lane = 0; lane < LANES; lane++) {
            const REAL *own = weights + run[lane] * size + from;
            REAL *of = (REAL *)(to + from) + lane;
            for (int o = 0; o < outputs; o++)
                for (int i = 0; i < inputs; i++) of[(i * outputs + o) * LANES] = own[o * inputs + i];
            for (int b = inputs * outputs; b < inputs * outputs + biases; b++) of[b * LANES] = own[b];
        }
        from += outputs * inputs + biases;
    }
}

static void from_lanes(const vec *lanes, REAL *weights, int64_t first, int runs, const layer *layers, int count,
                       int size) {
    for (int64_t l = 0, from = 0; l < count; l++) {
        const int inputs = layers[l].inputs, outputs = layers[l].outputs, biases = outputs * layers[l].biased;
        for (int lane = 0; lane < runs; lane++) {
            REAL *own = weights + (first + lane) * size + from;
            const REAL *of = (const REAL *)(lanes + from) + lane;
            for (int o = 0; o < outputs; o++)
                for (int i = 0; i < inputs; i++) own[o * inputs + i] = of[(i * outputs + o) * LANES];
            for (int b = inputs * outputs; b < inputs * outputs + biases; b++) own[b] = of[b * LANES];
        }
        from += outputs * inputs + biases;
    }
}

/* Gradients (runs, size) of each run's mean cross-entropy on its own batch.
 *
 * weights (runs, size): of each layer the matrix [output][input], then its biases.
 * images (count, inputs), labels (count): of all; chosen (runs, batch) says which, of which the first sizes[run] count.
 * kinds (runs): of activations, as numbered in lanes.py.
 * Returns 0, or 1 where there is no memory.
 */
int dense_gradient(const REAL *weights, const REAL *images, REAL *gradients, const int64_t *labels,
                   const int64_t *chosen, const int64_t *sizes, const int32_t *kinds, int64_t runs, int64_t batch,
                   const layer *layers, int count) {
    int size = 0, units = layers[0].inputs, widest = 0;
    for (int l = 0; l < count; l++) {
        size += layers[l].outputs * (layers[l].inputs + layers[l].biased);
        units += 2 * layers[l].outputs;
        const int wide = layers[l].inputs > layers[l].outputs ? layers[l].inputs : layers[l].outputs;
        widest = wide > widest ? wide : widest;
    }
    vec *memory = malloc(sizeof(vec) * (2 * size + widest + ROW * (units + 2 * widest)));
    vec **values = malloc(sizeof(vec *) * (2 * count + 1));
    if (!memory || !values) {
        free(memory);
        free(values);
        return 1;
    }
    vec *w = memory, *dw = w + size, *zero = dw + size, *slopes = zero + widest, *further = slopes + ROW * widest;
    /* values[2 * l] goes into layer l, values[2 * l + 1] comes out before the activation. */
    values[0] = further + ROW * widest;
    for (int l = 0; l < count; l++) {
        values[2 * l + 1] = values[2 * l] + ROW * layers[l].inputs;
        values[2 * l + 2] = values[2 * l + 1] + ROW * layers[l].outputs;
    }
    for (int64_t first = 0; first < runs; first += LANES) {
        int64_t run[LANES];
        int32_t kind[LANES];
        for (int lane = 0; lane < LANES; lane++) {
            /* Lanes that are left over do what the last one does. */
            run[lane] = first + lane < runs ? first + lane : runs - 1;
            kind[lane] = kinds[run[lane]];
        }
        to_lanes(weights, run, w, layers, count, size);
        memset(dw, 0, sizeof(vec) * size);
        for (int64_t start = 0; start < batch; start += ROW) {
            const int row = batch - start < ROW ? (int)(batch - start) : ROW;
            int32_t label[ROW * LANES];
            REAL share[ROW * LANES];
            for (int image = 0; image < row; image++)
                for (int lane = 0; lane < LANES; lane++) {
                    const int64_t which = chosen[run[lane] * batch + start + image], own = sizes[run[lane]];
                    const REAL *pixels = images + which * layers[0].inputs;
                    REAL *pixel = (REAL *)(values[0] + image * layers[0].inputs) + lane;
                    for (int i = 0; i < layers[0].inputs; i++) pixel[i * LANES] = pixels[i];
                    label[image * LANES + lane] = (int32_t)labels[which];
                    share[image * LANES + lane] = start + image < own ? 1 / (REAL)own : 0;
                }
            int at = 0;
            for (int l = 0; l < count; l++) {
                const shape s = {1, 1, row, layers[l].inputs, layers[l].outputs, 1, 1};
                const int kernel = s.inputs * s.outputs, entries = row * s.outputs;
                memset(zero, 0, sizeof(vec) * s.outputs);
                conv_forward(values[2 * l], w + at, layers[l].biased ? w + at + kernel : zero, values[2 * l + 1], &s);
                if (layers[l].activated)
                    activation_forward((REAL *)values[2 * l + 1], (REAL *)values[2 * l + 2], entries, kind, 0, NULL,
                                       NULL, NULL);
                else
                    memcpy(values[2 * l + 2], values[2 * l + 1], sizeof(vec) * entries);
                at += kernel + s.outputs * layers[l].biased;
            }
            const vec *gradient = values[2 * count];
            cross_entropy_backward(values[2 * count], row, layers[count - 1].outputs, label, share);
            for (int l = count - 1; l >= 0; l--) {
                const shape s = {1, 1, row, layers[l].inputs, layers[l].outputs, 1, 1};
                const int kernel = s.inputs * s.outputs, entries = row * s.outputs;
                if (layers[l].activated)
                    activation_backward((REAL *)values[2 * l + 1], (const REAL *)gradient, (REAL *)slopes, entries,
                                        kind, 0, NULL, NULL, NULL);
                else
                    memcpy(slopes, gradient, sizeof(vec) * entries);
                at -= kernel + s.outputs * layers[l].biased;
                conv_backward_weights(values[2 * l], slopes, dw + at, layers[l].biased ? dw + at + kernel : zero, &s);
                if (l) conv_backward_inputs(slopes, w + at, further, &s);
                gradient = further;
            }
        }
        from_lanes(dw, gradients, first, runs - first < LANES ? (int)(runs - first) : LANES, layers, count, size);
    }
    free(memory);
    free(values);
    return 0;
}
