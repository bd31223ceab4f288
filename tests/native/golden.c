/* Trains tiny networks from numbers that integers give, and prints a hash of their weights and losses: a line for each
 * network, activation and optimizer. No library has a part in it but for the printing. */
#include <stdio.h>

#include "../../zoobench/native/networks.c"
#include "../../zoobench/native/updates.c"

#define RUNS 19
#define IMAGES 11
#define BATCH 5
#define MOST 2048

static uint64_t state;

static uint64_t drawn(void) {
    uint64_t x = state += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

/* In [-1, 1), a multiple of 2^-20. */
static REAL real(void) { return (REAL)((int64_t)(drawn() >> 43) - (1 << 20)) / (1 << 20); }

static uint64_t hashed(uint64_t hash, const void *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) hash = (hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001B3u;
    return hash;
}

typedef struct {
    const char *name;
    int side, classes, count;
    layer layers[12];
} net;

static const net NETS[] = {
    {"dense", 4, 4, 3, {{CONVOLUTION, 4, 4, 1, 5, 4, 1, 0, 0, 0, -1}, {POINTWISE, 1, 1, 5, 5, 1, 1, 0, 0, 1, 0},
                        {CONVOLUTION, 1, 1, 5, 4, 1, 1, 80, 0, 0, -1}}},
    {"pooled", 8, 3, 6, {{CONVOLUTION, 8, 8, 1, 6, 3, 1, 0, 1, 0, -1}, {POOL, 6, 6, 6, 6, 2, 2, 0, 0, 0, -1},
                         {POINTWISE, 3, 3, 6, 6, 1, 1, 0, 0, 1, 0}, {CONVOLUTION, 3, 3, 6, 5, 2, 1, 60, 1, 0, -1},
                         {POINTWISE, 2, 2, 5, 5, 1, 1, 0, 0, 1, -1}, {CONVOLUTION, 2, 2, 5, 3, 2, 1, 185, 1, 0, -1}}},
    {"strided", 9, 3, 6, {{CONVOLUTION, 9, 9, 1, 7, 3, 2, 0, 1, 0, -1}, {POINTWISE, 4, 4, 7, 7, 1, 1, 0, 0, 1, 0},
                          {CONVOLUTION, 4, 4, 7, 5, 3, 1, 70, 1, 0, -1}, {POINTWISE, 2, 2, 5, 5, 1, 1, 0, 0, 1, 1},
                          {MEAN, 2, 2, 5, 5, 1, 1, 0, 0, 0, -1}, {CONVOLUTION, 1, 1, 5, 3, 1, 1, 390, 1, 0, -1}}},
};
static const char *const KINDS_OF[] = {"relu", "tanh", "sigmoid", "gelu"}, *const RULES[] = {"adam", "sgd", "rmsprop"};

static void trained(const net *n, int kind, int with) {
    static REAL weights[RUNS * MOST], slope[RUNS * MOST], first[RUNS * MOST], second[RUNS * MOST];
    static REAL pictures[IMAGES * 256], rate[RUNS], decay[RUNS], scale[RUNS];
    int64_t labels[IMAGES], chosen[RUNS * BATCH], sizes[RUNS], correct[RUNS] = {0}, tallies[RUNS * 12] = {0};
    double losses[RUNS] = {0}, kept = 1, squared = 1;
    int32_t kinds[RUNS];
    uint64_t keys[2 * RUNS];
    int16_t least[RUNS];
    int size = 0;
    for (const layer *l = n->layers; l < n->layers + n->count; l++)
        if (l->kind == CONVOLUTION) size += l->outputs * (l->kernel * l->kernel * l->inputs + l->biased);
    state = 7;
    for (int i = 0; i < RUNS * size; i++) weights[i] = real() / 2, first[i] = second[i] = 0;
    for (int i = 0; i < IMAGES * n->side * n->side; i++) pictures[i] = 2 * real();
    for (int i = 0; i < IMAGES; i++) labels[i] = (int64_t)(drawn() % (unsigned)n->classes);
    for (int run = 0; run < RUNS; run++) {
        kinds[run] = kind < 4 ? kind : run % 4;
        rate[run] = (REAL)(run + 1) / 512, decay[run] = (REAL)(run % 3) / 64;
        least[run] = (int16_t)(run * 1000 - 32768), scale[run] = (REAL)(65536.0 / (65536 - run * 1000));
        sizes[run] = BATCH - run % 2;
    }
    rule r = {with, 0, 1, with == SGD, 0, 0, 0, 0, 0, 1, 1};
    for (int step = 0; step < 4; step++) {
        for (int i = 0; i < RUNS * BATCH; i++) chosen[i] = (int64_t)(drawn() % IMAGES);
        for (int i = 0; i < 2 * RUNS; i++) keys[i] = drawn();
        kept *= 0.9, squared *= 0.999;
        r.keep_first = 0.9, r.take_first = 1 - 0.9, r.keep_second = with == ADAM ? 0.999 : 0.99;
        r.take_second = 1 - r.keep_second, r.epsilon = 1e-8;
        r.correct_first = 1 - kept, r.correct_second = root((REAL)(1 - squared));
        networks(weights, pictures, slope, scale, labels, chosen, sizes, kinds, keys, least, correct, NULL, NULL, RUNS,
                 BATCH, n->layers, n->count);
        update(weights, slope, first, second, rate, kind < 4 ? decay : NULL, RUNS, size, &r);
    }
    layer without[12];
    for (int l = 0; l < n->count; l++) without[l] = n->layers[l], without[l].dropout = -1;
    networks(weights, pictures, NULL, NULL, labels, NULL, NULL, kinds, NULL, NULL, NULL, losses, tallies, RUNS, IMAGES,
             without, n->count);
    uint64_t hash = hashed(0xCBF29CE484222325u, weights, sizeof(REAL) * RUNS * (size_t)size);
    hash = hashed(hash, losses, sizeof(losses));
    hash = hashed(hashed(hash, correct, sizeof(correct)), tallies, sizeof(tallies));
    printf("%s %s %s %016llx\n", n->name, kind < 4 ? KINDS_OF[kind] : "mixed", RULES[with], (unsigned long long)hash);
}

int main(void) {
    for (unsigned n = 0; n < sizeof(NETS) / sizeof(NETS[0]); n++)
        for (int kind = 0; kind < 5; kind++)
            for (int with = 0; with < 3; with++) trained(NETS + n, kind, with);
    return 0;
}
