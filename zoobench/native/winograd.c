/* The transforms of Winograd's minimal filtering F(2x2, 3x3): see winograd.py.
 *
 * Maps are (images, height, width, channels), of whole vectors of channels; parts are (16, tiles, channels), with a
 * tile for every 2x2 entries of a convolution's output; what lies beyond an odd side is 0, or left out. Height and width
 * are always of what goes into the convolution.
 */
#include <string.h>

#include "rows.c"

#define TILE 4
#define FOR_TILES                                                                             \
    const int64_t tiles = images * ((height - 1) / 2) * ((width - 1) / 2);                    \
    for (int64_t image = 0, tile = 0; image < images; image++)                                \
        for (int y = 0; y < height - 2; y += 2)                                               \
            for (int x = 0; x < width - 2; x += 2, tile++)                                    \
                for (int channel = 0; channel < channels; channel += LANES)
/* Of tile and channel above. The first 3x3 entries of a tile are within the map that goes in. */
#define IN(i, j) (((image * height + y + (i)) * width + x + (j)) * channels + channel)
#define OUT(i, j) (((image * (height - 2) + y + (i)) * (width - 2) + x + (j)) * channels + channel)
#define PART(k) (((k) * tiles + tile) * channels + channel)
#define WITHIN_IN(i, j) (((i) < 3 || y + (i) < height) && ((j) < 3 || x + (j) < width))
#define WITHIN_OUT(i, j) (y + (i) < height - 2 && x + (j) < width - 2)

INLINE vec load(const REAL *from) { return *(const vec *)from; }

/* Four numbers `step` apart: what the transposed B of the paper makes of them, and what B does. */
INLINE void transposed_b(vec *t, int step) {
    const vec a = t[0], b = t[step], c = t[2 * step], d = t[3 * step];
    t[0] = a - c, t[step] = b + c, t[2 * step] = c - b, t[3 * step] = b - d;
}

INLINE void times_b(vec *t, int step) {
    const vec a = t[0], b = t[step], c = t[2 * step], d = t[3 * step];
    t[0] = a, t[step] = b - c + d, t[2 * step] = b + c - a, t[3 * step] = -d;
}

/* Four numbers become the first two by the transposed A, and two become four by A. */
INLINE void transposed_a(vec *t, int step) {
    const vec a = t[0], b = t[step], c = t[2 * step], d = t[3 * step];
    t[0] = a + b + c, t[step] = b - c - d;
}

INLINE void times_a(vec *t, int step) {
    const vec a = t[0], b = t[step];
    t[step] = a + b, t[2 * step] = a - b, t[3 * step] = -b;
}

/* What goes into a convolution, to tiles. */
void spread(REAL *parts, const REAL *maps, int64_t images, int height, int width, int channels) {
    FOR_TILES {
        vec t[TILE * TILE];
        for (int i = 0; i < TILE; i++)
            for (int j = 0; j < TILE; j++) t[TILE * i + j] = WITHIN_IN(i, j) ? load(maps + IN(i, j)) : (vec){0};
        for (int j = 0; j < TILE; j++) transposed_b(t + j, TILE);
        for (int i = 0; i < TILE; i++) transposed_b(t + TILE * i, 1);
        for (int k = 0; k < TILE * TILE; k++) *(vec *)(parts + PART(k)) = t[k];
    }
}

/* Tiles of products, to what comes out of a convolution. */
void gather(const REAL *parts, REAL *maps, int64_t images, int height, int width, int channels, const REAL *bias) {
    FOR_TILES {
        vec t[TILE * TILE];
        for (int k = 0; k < TILE * TILE; k++) t[k] = load(parts + PART(k));
        for (int j = 0; j < TILE; j++) transposed_a(t + j, TILE);
        for (int i = 0; i < 2; i++) transposed_a(t + TILE * i, 1);
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 2; j++)
                if (WITHIN_OUT(i, j)) *(vec *)(maps + OUT(i, j)) = t[TILE * i + j] + load(bias + channel);
    }
}

/* The gradient of what came out, to that of tiles of products. */
void spread_back(REAL *parts, const REAL *maps, int64_t images, int height, int width, int channels) {
    FOR_TILES {
        vec t[TILE * TILE];
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 2; j++) t[TILE * i + j] = WITHIN_OUT(i, j) ? load(maps + OUT(i, j)) : (vec){0};
        for (int j = 0; j < 2; j++) times_a(t + j, TILE);
        for (int i = 0; i < TILE; i++) times_a(t + TILE * i, 1);
        for (int k = 0; k < TILE * TILE; k++) *(vec *)(parts + PART(k)) = t[k];
    }
}

/* The gradient of tiles, to that of what went in. */
void gather_back(const REAL *parts, REAL *maps, int64_t images, int height, int width, int channels) {
    memset(maps, 0, sizeof(REAL) * images * height * width * channels);
    FOR_TILES {
        vec t[TILE * TILE];
        for (int k = 0; k < TILE * TILE; k++) t[k] = load(parts + PART(k));
        for (int j = 0; j < TILE; j++) times_b(t + j, TILE);
        for (int i = 0; i < TILE; i++) times_b(t + TILE * i, 1);
        for (int i = 0; i < TILE; i++)
            for (int j = 0; j < TILE; j++)
                if (WITHIN_IN(i, j)) *(vec *)(maps + IN(i, j)) += t[TILE * i + j];
    }
}
