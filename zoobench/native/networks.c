/* Whole networks, LANES of them at a time: logits, scores, and gradients of the cross-entropy. See lanes.py.
 *
 * So few images at a time go through all layers, and back, that what is computed stays in the processor's cache.
 */
#include <stdlib.h>

#include "lanes.c"

#ifndef CACHE
#define CACHE (768 << 10)
#endif
#define MOST_IMAGES 64

enum { CONVOLUTION, POOL, POINTWISE, MEAN };

/* As in __init__.py. height, width and inputs are of what goes in; weights stand from `offset` on, kernels first, and
 * biases if `biased`; draws of dropout in row `dropout`, or -1; without `activated`, POINTWISE is dropout alone. */
typedef struct {
    int kind, height, width, inputs, outputs, kernel, stride, offset, biased, activated, dropout;
} layer;

/* For the check that both have the same fields. */
size_t size_of_layer(void) { return sizeof(layer); }

typedef struct {
    const layer *layers;
    int count, size, classes;
    const REAL *weights;
    const REAL *pictures;
    const int64_t *labels, *chosen, *sizes;
    const int32_t *kinds;
    const uint64_t *keys;
    const int16_t *least;
    const REAL *scale;
    int64_t *correct;
    double *losses;
    int64_t *tallies;
    int64_t runs, batch;
} task;

/* What LANES networks work with. */
typedef struct {
    int64_t run[LANES];
    int32_t kind[LANES], identity[LANES];
    uint64_t (*key)[LANES];
    int16_t (*least)[LANES];
    REAL (*scale)[LANES];
    vec label[MOST_IMAGES], share[MOST_IMAGES];
    vec *weights, *gradient, *zero, **values, *going, *coming;
    int32_t *which, *places, *pixels;
} group;

INLINE int features_in(const layer *l) { return l->height * l->width * l->inputs; }

/* A layer that has one position is dense, and the images are the positions. */
INLINE int dense(const layer *l) { return l->kernel == l->height && l->kernel == l->width; }

static shape shape_of(const layer *l, int images) {
    if (l->kind == CONVOLUTION && dense(l)) return (shape){1, 1, images, features_in(l), l->outputs, 1, 1};
    return (shape){images, l->height, l->width, l->inputs, l->outputs, l->kernel, l->stride};
}

static int features_out(const layer *l) {
    const shape s = {1, l->height, l->width, l->inputs, l->outputs, l->kernel, l->stride};
    switch (l->kind) {
        case CONVOLUTION: return side(s.height, &s) * side(s.width, &s) * s.outputs;
        case POOL: return (s.height / s.kernel) * (s.width / s.kernel) * s.inputs;
        case MEAN: return s.inputs;
        default: return features_in(l);
    }
}

/* to[places[i]] = number i of each run. */
static void to_lanes(const REAL *const from[LANES], int count, vec *to, const int32_t *places) {
    int i = 0;
    for (; i + LANES <= count; i += LANES) {
        vec rows[LANES];
        for (int lane = 0; lane < LANES; lane++) rows[lane] = *(const vec *)(from[lane] + i);
        transpose(rows);
        for (int j = 0; j < LANES; j++) to[places[i + j]] = rows[j];
    }
    for (; i < count; i++)
        for (int lane = 0; lane < LANES; lane++) to[places[i]][lane] = from[lane][i];
}

static void from_lanes(const vec *from, int count, REAL *const to[LANES], int used, const int32_t *places) {
    int i = 0;
    for (; i + LANES <= count; i += LANES) {
        vec rows[LANES];
        for (int j = 0; j < LANES; j++) rows[j] = from[places[i + j]];
        transpose(rows);
        for (int lane = 0; lane < used; lane++) *(vec *)(to[lane] + i) = rows[lane];
    }
    for (; i < count; i++)
        for (int lane = 0; lane < used; lane++) to[lane][i] = from[places[i]][lane];
}

/* Where each weight of a run, [output][input][row][column], stands among lanes, [row][column][input][output]. */
static void find_places(int32_t *places, const layer *layers, int count) {
    for (const layer *l = layers; l < layers + count; l++) {
        if (l->kind != CONVOLUTION) continue;
        const int cells = l->kernel * l->kernel;
        int32_t at = l->offset;
        for (int o = 0; o < l->outputs; o++)
            for (int i = 0; i < l->inputs; i++)
                for (int cell = 0; cell < cells; cell++)
                    places[at++] = l->offset + (cell * l->inputs + i) * l->outputs + o;
        for (int b = 0; b < l->outputs * l->biased; b++, at++) places[at] = at;
    }
}

/* Images, labels and shares in the loss, from number `start` of the batch on. */
static void load(group *g, const task *t, int64_t start, int images) {
    const int pixels = features_in(t->layers);
    for (int image = 0; image < images; image++) {
        const REAL *from[LANES];
        for (int lane = 0; lane < LANES; lane++) {
            const int64_t place = start + image;
            const int64_t which = t->chosen ? t->chosen[g->run[lane] * t->batch + place] : place;
            from[lane] = t->pictures + which * pixels;
            if (t->labels) {
                const int64_t own = t->sizes ? t->sizes[g->run[lane]] : t->batch;
                g->label[image][lane] = (REAL)t->labels[which];
                g->share[image][lane] = place < own ? 1 / (REAL)own : 0;
            }
        }
        to_lanes(from, pixels, g->values[0] + image * pixels, g->pixels);
    }
}

#define DROPOUT(g, l) \
    (l)->dropout < 0 ? NULL : (const words *)(g)->key[(l)->dropout], \
    (l)->dropout < 0 ? NULL : (g)->least[(l)->dropout], \
    (l)->dropout < 0 ? NULL : (const half *)(g)->scale[(l)->dropout]

static void forward(group *g, const task *t, int64_t start, int images) {
    int32_t *which = g->which;
    for (int n = 0; n < t->count; n++) {
        const layer *l = t->layers + n;
        const shape s = shape_of(l, images);
        const vec *in = g->values[n], *w = g->weights + l->offset;
        vec *out = g->values[n + 1];
        const int features = features_in(l), cells = l->height * l->width;
        switch (l->kind) {
            case CONVOLUTION:
                memset(g->zero, 0, sizeof(vec) * l->outputs);
                conv_forward(in, w, l->biased ? w + l->kernel * l->kernel * l->inputs * l->outputs : g->zero, out, &s);
                break;
            case POOL:
                pool_forward(in, (REAL *)out, which, &s);
                which += images * features_out(l) * LANES;
                break;
            case POINTWISE:
                activation_forward(in, out, (int64_t)images * features,
                                   l->activated ? g->kind : g->identity, start * features, DROPOUT(g, l));
                break;
            case MEAN:
                for (int image = 0; image < images; image++)
                    for (int c = 0; c < l->inputs; c++) {
                        vec sum = {0};
                        for (int cell = 0; cell < cells; cell++) sum += in[image * features + cell * l->inputs + c];
                        out[image * l->inputs + c] = sum / (REAL)cells;
                    }
        }
    }
}

/* The first of the largest logits of each lane, and which it is. */
INLINE vec most_likely(const vec *logits, int classes, vec *choice) {
    const vec ones = FILLED(1);
    vec most = logits[0];
    *choice = FILLED(0);
    for (int c = 1; c < classes; c++) {
        const flags more = (flags)(logits[c] > most);
        most = EITHER(more, logits[c], most);
        *choice = EITHER(more, ones * (REAL)c, *choice);
    }
    return most;
}

/* Adds the cross-entropies to `losses` (runs), and 1 to `tallies` (runs, 3, classes) where a class is predicted, is the
 * label, and is both. */
static void score(const group *g, const task *t, int64_t first, int used, int images) {
    const vec *logits = g->values[t->count];
    for (int image = 0; image < images; image++, logits += t->classes) {
        vec choice, sum = {0}, own = {0};
        const vec most = most_likely(logits, t->classes, &choice), label = g->label[image];
        for (int c = 0; c < t->classes; c++) {
            sum += exp_of(logits[c] - most);
            own = EITHER(label == (REAL)c, logits[c], own);
        }
        const vec loss = log_of(sum) - (own - most);
        for (int lane = 0; lane < used; lane++) {
            const int chosen = (int)choice[lane], true = (int)label[lane];
            int64_t *tally = t->tallies + (first + lane) * 3 * t->classes;
            t->losses[first + lane] += (double)loss[lane];
            tally[chosen]++;
            tally[t->classes + true]++;
            tally[2 * t->classes + true] += chosen == true;
        }
    }
}

/* From logits to the gradient of the losses, in place: (softmax - one) * share, where one is 1 for the label. Adds to
 * `correct` where the first of the largest logits is the label's. */
static void cross_entropy_backward(vec *logits, int images, int classes, const vec *label, const vec *share,
                                   vec *correct) {
    const vec ones = FILLED(1);
    for (int image = 0; image < images; image++, logits += classes) {
        vec choice, sum = {0};
        const vec most = most_likely(logits, classes, &choice);
        *correct += (vec)((flags)(choice == label[image]) & (flags)(share[image] > 0) & (flags)ones);
        for (int c = 0; c < classes; c++) logits[c] = exp_of(logits[c] - most);
        for (int c = 0; c < classes; c++) sum += logits[c];
        for (int c = 0; c < classes; c++) {
            const vec one = (vec)((flags)(label[image] == (REAL)c) & (flags)ones);
            logits[c] = (logits[c] / sum - one) * share[image];
        }
    }
}

static void backward(group *g, const task *t, int64_t start, int images) {
    const int32_t *which = g->which;
    for (int n = 0; n < t->count; n++)
        if (t->layers[n].kind == POOL) which += images * features_out(t->layers + n) * LANES;
    vec *grad = g->values[t->count], *further = g->going;
    for (int n = t->count - 1; n >= 0; n--) {
        const layer *l = t->layers + n;
        const shape s = shape_of(l, images);
        const vec *in = g->values[n];
        vec *dw = g->gradient + l->offset;
        const int features = features_in(l), cells = l->height * l->width;
        switch (l->kind) {
            case CONVOLUTION:
                conv_backward_weights(
                    in, grad, dw, l->biased ? dw + l->kernel * l->kernel * l->inputs * l->outputs : g->zero, &s);
                if (n) conv_backward_inputs(grad, g->weights + l->offset, further, &s);
                break;
            case POOL:
                which -= images * features_out(l) * LANES;
                pool_backward((const REAL *)grad, (REAL *)further, which, &s);
                break;
            case POINTWISE:
                activation_backward(in, grad, further, (int64_t)images * features,
                                    l->activated ? g->kind : g->identity, start * features, DROPOUT(g, l));
                break;
            case MEAN:
                for (int image = 0; image < images; image++)
                    for (int i = 0; i < features; i++)
                        further[image * features + i] = grad[image * l->inputs + i % l->inputs] / (REAL)cells;
        }
        grad = further;
        further = grad == g->going ? g->coming : g->going;
    }
}

static void run_group(group *g, const task *t, int64_t first, int images, REAL *out) {
    const int used = t->runs - first < LANES ? (int)(t->runs - first) : LANES;
    for (int lane = 0; lane < LANES; lane++) {
        /* Lanes that are left over do what the last one does. */
        const int64_t run = g->run[lane] = lane < used ? first + lane : t->runs - 1;
        g->kind[lane] = t->kinds[run];
        g->identity[lane] = IDENTITY;
        for (const layer *l = t->layers; l < t->layers + t->count; l++)
            if (l->dropout >= 0) {
                g->key[l->dropout][lane] = t->keys[l->dropout * t->runs + run];
                g->least[l->dropout][lane] = t->least[run];
                g->scale[l->dropout][lane] = t->scale[run];
            }
    }
    const REAL *own[LANES];
    for (int lane = 0; lane < LANES; lane++) own[lane] = t->weights + g->run[lane] * t->size;
    to_lanes(own, t->size, g->weights, g->places);
    const int learns = t->labels && !t->losses;
    if (learns) memset(g->gradient, 0, sizeof(vec) * t->size);
    vec correct = {0};
    for (int64_t start = 0; start < t->batch; start += images) {
        const int some = t->batch - start < images ? (int)(t->batch - start) : images;
        load(g, t, start, some);
        forward(g, t, start, some);
        if (t->losses) {
            score(g, t, first, used, some);
        } else if (learns) {
            cross_entropy_backward(g->values[t->count], some, t->classes, g->label, g->share, &correct);
            backward(g, t, start, some);
        } else {
            const REAL *logits = (const REAL *)g->values[t->count];
            for (int lane = 0; lane < used; lane++)
                for (int i = 0; i < some * t->classes; i++)
                    out[((first + lane) * t->batch + start) * t->classes + i] = logits[i * LANES + lane];
        }
    }
    if (!learns) return;
    REAL *to[LANES];
    for (int lane = 0; lane < LANES; lane++) to[lane] = out + g->run[lane] * t->size;
    from_lanes(g->gradient, t->size, to, used, g->places);
    for (int lane = 0; lane < used; lane++) t->correct[first + lane] = (int64_t)correct[lane];
}

/* With losses the scores of each run: cross-entropies are added to losses (runs) and counts to tallies (see score).
 * Otherwise, with labels, the gradients (runs, size) of each run's mean cross-entropy on its own batch into out, and how
 * many of the batch are recognised into correct (runs). Without labels its logits (runs, batch, classes) into out.
 *
 * weights (runs, size), of each layer [output][input][row][column] and then its biases.
 * pictures (n, channels, height, width), labels (n): of all; chosen (runs, batch) says which, NULL for the first.
 * sizes (runs): how many of a run's batch count, NULL for all.
 * kinds (runs): of activations, as numbered in lanes.py.
 * keys (dropout layers, runs), least, scale (runs): see drop.
 * Returns 0, or 1 where there is no memory.
 */
int networks(const REAL *weights, const REAL *pictures, REAL *out, const REAL *scale, const int64_t *labels,
             const int64_t *chosen, const int64_t *sizes, const int32_t *kinds, const uint64_t *keys,
             const int16_t *least, int64_t *correct, double *losses, int64_t *tallies, int64_t runs, int64_t batch,
             const layer *layers, int count) {
    const uint64_t found = plain_arithmetic();
    task t = {layers, count, 0, features_out(layers + count - 1), weights, pictures, labels, chosen, sizes, kinds,
              keys, least, scale, correct, losses, tallies, runs, batch};
    int all = features_in(layers), widest = all, pooled = 0, dropped = 0;
    for (const layer *l = layers; l < layers + count; l++) {
        const int features = features_out(l);
        if (l->kind == CONVOLUTION)
            t.size += l->outputs * (l->kernel * l->kernel * l->inputs + l->biased);
        all += features;
        widest = features > widest ? features : widest;
        pooled += l->kind == POOL ? features : 0;
        dropped += l->dropout >= 0;
    }
    /* So many images as leave weights and gradients some of the cache. */
    int64_t images = CACHE / ((int64_t)sizeof(vec) * (all + 2 * widest));
    images = images < 1 ? 1 : images > MOST_IMAGES ? MOST_IMAGES : images;
    images = images > batch ? batch : images;
    group *g = calloc(1, sizeof(group));
    vec *memory = malloc(sizeof(vec) * (2 * t.size + widest + images * (all + 2 * widest)));
    void *draws = malloc(1 + dropped * LANES * (sizeof(uint64_t) + sizeof(int16_t) + sizeof(REAL)));
    vec **values = malloc(sizeof(vec *) * (count + 1));
    int32_t *which = malloc(1 + sizeof(int32_t) * LANES * images * pooled);
    const int pixels = features_in(layers), cells = layers->height * layers->width;
    int32_t *places = malloc(sizeof(int32_t) * (t.size + pixels));
    const int failed = !g || !memory || !draws || !values || !which || !places;
    if (!failed) {
        g->weights = memory;
        g->gradient = g->weights + t.size;
        g->zero = g->gradient + t.size;
        g->going = g->zero + widest;
        g->coming = g->going + images * widest;
        g->values = values;
        values[0] = g->coming + images * widest;
        for (int n = 0; n < count; n++) values[n + 1] = values[n] + images * features_in(layers + n);
        g->which = which;
        g->places = places;
        g->pixels = places + t.size;
        find_places(places, layers, count);
        for (int i = 0; i < pixels; i++) g->pixels[i] = i % cells * layers->inputs + i / cells;
        g->key = draws;
        g->scale = (void *)(g->key + dropped);
        g->least = (void *)(g->scale + dropped);
        for (int64_t first = 0; first < runs; first += LANES) run_group(g, &t, first, (int)images, out);
    }
    free(g);
    free(memory);
    free(draws);
    free(values);
    free(which);
    free(places);
    arithmetic_as_it_was(found);
    return failed;
}
