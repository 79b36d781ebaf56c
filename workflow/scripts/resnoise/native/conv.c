/*
 * Loss and gradients of the simplified networks (resnoise.networks.simplified) on CPUs.
 *
 * Compiled for float64 and for float32 (-DSINGLE), and each for layers whose channels are multiples of
 * 16 and of 8 (-DNARROW). The only callers are network.py and input_gradient.py, which check all
 * types, sizes and strides: nothing is checked here.
 *
 * Parallelism. A batch is divided into chunks of a few samples, which go through the whole network
 * while they are in the cache. Chunk i belongs to slot i mod SLOTS; a slot adds the gradients of
 * its chunks in order in memory of its own, and the slots are added in order at the end. Threads
 * take whole slots, so the order of every sum, and hence every bit, is the same for any number of
 * threads. Threads are plain pthreads that live as long as one call: there is no second OpenMP
 * runtime whose idle threads would spin on the cores that PyTorch needs.
 *
 * Memory. Activations and their gradients are [sample][row][column][channel] with a border of one
 * zero pixel, which nothing ever writes. Vectors run along channels, whose number is a multiple of
 * LANES everywhere but in the pictures.
 *
 * Convolutions. Those with stride 1 and as many outputs as inputs, nearly all of them, use the
 * algorithm of Winograd (Lavin and Gray 2016) on output tiles of 2x2 pixels: 16 products instead of
 * 36, and its transforms only add and halve, so that it rounds like a direct sum. The first and the
 * two strided convolutions are direct.
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef SINGLE
typedef float real;
typedef int32_t bits;
#else
typedef double real;
typedef int64_t bits;
#endif

/* What the number of channels of every layer but the pictures is a multiple of. */
#ifdef NARROW
#define GROUP 8
#else
#define GROUP 16
#endif

/* Bytes of a vector register, and how many sums the inner loops can keep in registers. */
#if defined(__AVX512F__)
#if defined(NARROW) && defined(SINGLE)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 64
#endif
#define SUMS 16
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#define SUMS 8
#else
#define VECTOR_BYTES 16
#define SUMS 8
#endif

/* Sums of a gradient of weights: input channels that are added up together. */
#define ROWS (SUMS < GROUP ? SUMS : GROUP)

#define LANES ((long)(VECTOR_BYTES / sizeof(real)))
#define CACHE_LINE ((long)(64 / sizeof(real)))

/* Samples that go through the network together: as many as have the pixels of FEWEST pictures of
 * 32x32, at most MOST. Small pictures have few tiles, and the inner loops want many at a time. */
#define FEWEST 4
#define MOST 16
#define SLOTS 16     /* partial sums of the gradients */
#define PIXELS 8     /* pixels that a direct convolution computes together */
#define TILES 32     /* Winograd tiles that are transformed together, a multiple of SUMS */
#define FREQUENCIES 16 /* values of a transformed tile of 4x4 */
#define MAX_THREADS SLOTS

/* Vectors may stand at any address of a value, and other code may read their memory by value. */
typedef real vector __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));
typedef bits mask __attribute__((vector_size(VECTOR_BYTES)));

static inline vector load(const real *p) { return *(const vector *)p; }
static inline void store(real *p, vector v) { *(vector *)p = v; }

/* `value` where `at` is positive or NaN, else 0: ReLU and its gradient as PyTorch defines them. */
static inline vector where_positive(vector value, vector at)
{
    const vector zero = {0};
    return (vector)((mask)value & ~(mask)(at <= zero));
}

/* ---------------------------------------------------------------------------------------------- */
/* What network.py passes; it declares the same structures.                                       */

typedef struct {
    int64_t in, out;          /* channels */
    int64_t height, width;    /* of the input */
    int64_t stride;
    int64_t identity;         /* whether an identity connection runs across the layer */
} Shape;

/* Weights [out][in][3][3] and biases [out] of a convolution, and where their gradients go. */
typedef struct {
    const real *weight, *bias;
    real *weight_grad, *bias_grad;
    int64_t strides[4], grad_strides[4]; /* of the weights and of their gradient, in values */
} Parameters;

typedef struct {
    const real *images;       /* [count][channels][height][width] */
    int64_t strides[4];       /* of the images, in values */
    int64_t count;
    const int64_t *labels;    /* [count] */
    const real *weight, *bias; /* linear layer: [classes][features], [classes] */
    real *weight_grad, *bias_grad;
    real *logits;             /* [count][classes] */
    real *losses;             /* [count] cross-entropies */
    int64_t *wrong;           /* [count] 1 where the prediction is wrong, else 0 */
} Batch;

/* ---------------------------------------------------------------------------------------------- */
/* Memory that lasts from call to call.                                                           */

typedef struct {
    Shape shape;
    int winograd;
    long out_height, out_width;
    long in_sample, out_sample; /* values of one padded sample */
    real *forward, *backward; /* weights in the order in which the inner loops read them */
    long kernel_values;       /* of `forward`, of `backward` and of the gradient in a slot */
    long gradient;            /* where in a slot the gradient is: weights, then biases */
    /* Where in a thread's memory the input and its gradient are. */
    long input, input_gradient;
} Layer;

typedef struct {
    long depth;               /* number of convolutions */
    long classes, features;
    Layer *layers;            /* [depth + 1], of the last one only input and input_gradient */
    real *kernels;
    real *slots[SLOTS];
    long linear_gradient;     /* where in a slot: [classes][features], then [classes] */
    long slot_values;
    long chunk;               /* samples that go through the network together */
    long threads;
    real *memory[MAX_THREADS];
    /* Where in a thread's memory: pooled activations [chunk][features], transformed tiles. */
    long pooled, tiles_in, tiles_out;
} Plan;

/* Transformed tiles are [group of channels][frequency][tile][channel of the group], so that the
 * inner loops know all distances at compile time. Without an extra cache line after the tiles the
 * frequencies of a tile would all compete for the same set of the cache. */
#define PLANE (TILES * GROUP + CACHE_LINE)
#define GROUP_PLANES (FREQUENCIES * PLANE)

/* Where frequency 0 of channel c of a tile is. */
static inline long tile_channel(long tile, long c)
{
    return c / GROUP * GROUP_PLANES + tile * GROUP + c % GROUP;
}

/* Values of a picture or of activations with their border. */
static long padded(long height, long width, long channels)
{
    return (height + 2) * (width + 2) * channels;
}

void plan_destroy(Plan *plan)
{
    if (!plan)
        return;
    for (long t = 0; t < MAX_THREADS; t++)
        free(plan->memory[t]);
    for (long s = 0; s < SLOTS; s++)
        free(plan->slots[s]);
    free(plan->kernels);
    free(plan->layers);
    free(plan);
}

/* Reserve `values` values, rounded up to whole cache lines, behind the `*used` ones. */
static long take(long *used, long values)
{
    long start = *used;
    *used += (values + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    return start;
}

static real *zeros(long values)
{
    void *memory;
    if (posix_memalign(&memory, 64, values * sizeof(real)))
        return NULL;
    return memset(memory, 0, values * sizeof(real));
}

static long samples_together(const Shape *pictures)
{
    long samples = FEWEST * 32 * 32 / (pictures->height * pictures->width);
    return samples < FEWEST ? FEWEST : samples < MOST ? samples : MOST;
}

/* NULL if there is not enough memory. */
Plan *plan_create(const Shape *shapes, int64_t depth, int64_t classes, int64_t threads)
{
    Plan *plan = calloc(1, sizeof *plan);
    if (!plan || !(plan->layers = calloc(depth + 1, sizeof(Layer)))) {
        plan_destroy(plan);
        return NULL;
    }
    plan->depth = depth;
    plan->classes = classes;
    plan->features = shapes[depth - 1].out;
    plan->threads = threads < MAX_THREADS ? threads : MAX_THREADS;
    plan->chunk = samples_together(shapes);

    long kernels = 0, slot = 0, memory = 0, widest = 0;
    for (long i = 0; i < depth; i++) {
        Layer *l = &plan->layers[i];
        const Shape *s = &shapes[i];
        l->shape = *s;
        l->winograd = s->stride == 1 && s->in == s->out;
        l->out_height = s->height / s->stride;
        l->out_width = s->width / s->stride;
        l->in_sample = padded(s->height, s->width, s->in);
        l->out_sample = padded(l->out_height, l->out_width, s->out);
        l->kernel_values = (l->winograd ? FREQUENCIES : 9) * s->in * s->out;
        l->gradient = take(&slot, l->kernel_values + s->out);
        l->input = take(&memory, plan->chunk * l->in_sample);
        widest = s->out > widest ? s->out : widest;
        take(&kernels, 2 * l->kernel_values);
    }
    const Layer *last = &plan->layers[depth - 1];
    plan->layers[depth].input = take(&memory, plan->chunk * last->out_sample);
    plan->linear_gradient = take(&slot, classes * (plan->features + 1));
    plan->pooled = take(&memory, plan->chunk * plan->features);
    /* Layers of one size write the gradients of their inputs by turns in two places. */
    long turns[2] = {0, 0}, size = 0;
    for (long i = depth; i > 0; i--) {
        long needed = plan->chunk * plan->layers[i - 1].out_sample;
        if (needed != size) {
            turns[0] = take(&memory, needed);
            turns[1] = take(&memory, needed);
            size = needed;
        }
        plan->layers[i].input_gradient = turns[i % 2];
    }

    /* The tiles come last: the loops over groups of pixels read beyond the last pixel of a row, and
     * hence of what precedes the tiles, and ignore what they find there. */
    plan->tiles_in = take(&memory, widest / GROUP * GROUP_PLANES);
    plan->tiles_out = take(&memory, widest / GROUP * GROUP_PLANES);

    plan->slot_values = slot;
    int complete = (plan->kernels = zeros(kernels)) != NULL;
    for (long s = 0; s < SLOTS; s++)
        complete &= (plan->slots[s] = zeros(slot)) != NULL;
    for (long t = 0; t < plan->threads; t++)
        complete &= (plan->memory[t] = zeros(memory)) != NULL;
    if (!complete) {
        plan_destroy(plan);
        return NULL;
    }
    long used = 0;
    for (long i = 0; i < depth; i++) {
        Layer *l = &plan->layers[i];
        l->forward = plan->kernels + take(&used, 2 * l->kernel_values);
        l->backward = l->forward + l->kernel_values;
    }
    return plan;
}

/* ---------------------------------------------------------------------------------------------- */
/* The two inner loops.                                                                           */

/* sums[r] += sum over q of x[r * pixel + q] * w[q]: `values` products for LANES output channels at
 * COUNT pixels. A macro, because the sums stay in registers only if COUNT is a literal. */
#define ADD_PRODUCTS(COUNT, sums, x, pixel, w, values)          \
    for (long q = 0; q < (values); q++) {                       \
        const vector weights = load((w) + q * LANES);           \
        _Pragma("GCC unroll 16")                                \
        for (long r = 0; r < (COUNT); r++)                      \
            (sums)[r] += weights * (x)[r * (pixel) + q];        \
    }

/* sums[i] += sum over pixels p of x[p * x_pixel + i] * g[p * g_pixel]: gradient of the weights from
 * ROWS input channels to LANES output channels. */
static inline void add_outer(vector sums[ROWS], const real *x, long x_pixel, const real *g,
                             long g_pixel, long pixels)
{
    for (long p = 0; p < pixels; p++, x += x_pixel, g += g_pixel) {
        const vector gradient = load(g);
#pragma GCC unroll 16
        for (long i = 0; i < ROWS; i++)
            sums[i] += gradient * x[i];
    }
}

static void add_to(real *total, long row, const vector sums[ROWS], long rows)
{
    for (long i = 0; i < rows; i++)
        store(total + i * row, load(total + i * row) + sums[i]);
}

/* ---------------------------------------------------------------------------------------------- */
/* Winograd: y = A^T [(G w G^T) * (B^T d B)] A for a tile d of 4x4 inputs and 2x2 outputs.        */

/* One dimension of B^T, A^T, A and G. */
#define INPUT(v, a, b, c, d) \
    do { (v)[0] = (a) - (c); (v)[1] = (b) + (c); (v)[2] = (c) - (b); (v)[3] = (b) - (d); } while (0)
#define OUTPUT(v, a, b, c, d) \
    do { (v)[0] = (a) + (b) + (c); (v)[1] = (b) - (c) - (d); } while (0)
#define OUTPUT_GRADIENT(v, a, b) \
    do { (v)[0] = (a); (v)[1] = (a) + (b); (v)[2] = (a) - (b); (v)[3] = -(b); } while (0)
#define KERNEL(v, a, b, c)                                           \
    do {                                                             \
        const vector outer = ((a) + (c)) * (real)0.5, inner = (b) * (real)0.5; \
        (v)[0] = (a); (v)[1] = outer + inner; (v)[2] = outer - inner; (v)[3] = (c); \
    } while (0)
#define KERNEL_GRADIENT(v, a, b, c, d)                               \
    do {                                                             \
        const vector sum = ((b) + (c)) * (real)0.5;                  \
        (v)[0] = (a) + sum; (v)[1] = ((b) - (c)) * (real)0.5; (v)[2] = sum + (d); \
    } while (0)

/* Top left pixel, border included, of a tile of a chunk, from the start of the chunk. */
static inline long tile_start(const Layer *l, uint32_t tile)
{
    uint32_t across = l->shape.width / 2, per_sample = l->shape.height / 2 * across;
    long sample = tile / per_sample, row = tile % per_sample / across, column = tile % across;
    return sample * l->in_sample + (2 * row * (l->shape.width + 2) + 2 * column) * l->shape.in;
}

/* v[f][t] = B^T d B of the tiles first + t. */
static void transform_inputs(const Layer *l, const real *x, long first, long count, real *v)
{
    long channels = l->shape.in, line = (l->shape.width + 2) * channels;
    for (long t = 0; t < count; t++) {
        const real *d = x + tile_start(l, first + t);
        for (long c = 0; c < channels; c += LANES) {
            vector half[4][4], full[4];
            real *out = v + tile_channel(t, c);
            for (long j = 0; j < 4; j++) {
                const real *p = d + j * channels + c;
                vector column[4];
                INPUT(column, load(p), load(p + line), load(p + 2 * line), load(p + 3 * line));
                for (long i = 0; i < 4; i++)
                    half[i][j] = column[i];
            }
            for (long i = 0; i < 4; i++) {
                INPUT(full, half[i][0], half[i][1], half[i][2], half[i][3]);
                for (long j = 0; j < 4; j++)
                    store(out + (4 * i + j) * PLANE, full[j]);
            }
        }
    }
}

/* m[f][t] = A g A^T of the 2x2 tiles first + t of the gradient g. */
static void transform_gradients(const Layer *l, const real *g, long first, long count, real *m)
{
    long channels = l->shape.out, line = (l->shape.width + 2) * channels;
    for (long t = 0; t < count; t++) {
        const real *d = g + tile_start(l, first + t) + line + channels;
        for (long c = 0; c < channels; c += LANES) {
            vector half[4][2], full[4];
            real *out = m + tile_channel(t, c);
            for (long j = 0; j < 2; j++) {
                const real *p = d + j * channels + c;
                vector column[4];
                OUTPUT_GRADIENT(column, load(p), load(p + line));
                for (long i = 0; i < 4; i++)
                    half[i][j] = column[i];
            }
            for (long i = 0; i < 4; i++) {
                OUTPUT_GRADIENT(full, half[i][0], half[i][1]);
                for (long j = 0; j < 4; j++)
                    store(out + (4 * i + j) * PLANE, full[j]);
            }
        }
    }
}

/* What follows a convolution: nothing, or 0 where the sum itself or another value is not positive. */
typedef enum { LINEAR, RELU, GATE } After;

/* y = A^T m A [+ bias] [+ add], then what `after` says; `gate` is for GATE. */
static void transform_outputs(const Layer *l, const real *m, long first, long count,
                              const real *bias, const real *add, After after, const real *gate,
                              real *y)
{
    long channels = l->shape.out, line = (l->shape.width + 2) * channels;
    for (long t = 0; t < count; t++) {
        long tile = tile_start(l, first + t) + line + channels;
        for (long c = 0; c < channels; c += LANES) {
            vector half[2][4], full[2];
            for (long j = 0; j < 4; j++) {
                const real *p = m + tile_channel(t, c) + j * PLANE;
                vector column[2];
                OUTPUT(column, load(p), load(p + 4 * PLANE), load(p + 8 * PLANE),
                       load(p + 12 * PLANE));
                half[0][j] = column[0];
                half[1][j] = column[1];
            }
            for (long i = 0; i < 2; i++) {
                OUTPUT(full, half[i][0], half[i][1], half[i][2], half[i][3]);
                for (long j = 0; j < 2; j++) {
                    long at = tile + i * line + j * channels + c;
                    vector value = full[j];
                    if (bias)
                        value += load(bias + c);
                    if (add)
                        value += load(add + at);
                    if (after != LINEAR)
                        value = where_positive(value, after == GATE ? load(gate + at) : value);
                    store(y + at, value);
                }
            }
        }
    }
}

/* y = conv(x) with the kernels u [frequency][block of outputs][input][LANES], and what
 * transform_outputs adds. */
static void winograd(const Layer *l, long samples, const real *x, const real *u, const real *bias,
                     const real *add, After after, const real *gate, real *y, real *v, real *m)
{
    long channels = l->shape.in, tiles = samples * (l->shape.height / 2) * (l->shape.width / 2);
    for (long first = 0; first < tiles; first += TILES) {
        long count = tiles - first < TILES ? tiles - first : TILES;
        transform_inputs(l, x, first, count, v);
        for (long f = 0; f < FREQUENCIES; f++)
            for (long c = 0; c < channels; c += LANES) {
                const real *w = u + (f * channels + c) * channels;
                /* The last group may go beyond `count`: nothing reads what it computes there. */
                for (long t = 0; t < count; t += SUMS) {
                    vector sums[SUMS] = {{0}};
                    for (long i = 0; i < channels; i += GROUP) {
                        const real *p = v + f * PLANE + tile_channel(t, i);
                        ADD_PRODUCTS(SUMS, sums, p, GROUP, w + i * LANES, GROUP)
                    }
                    for (long r = 0; r < SUMS; r++)
                        store(m + f * PLANE + tile_channel(t + r, c), sums[r]);
                }
            }
        transform_outputs(l, m, first, count, bias, add, after, gate, y);
    }
}

/* du[frequency][input][output] += gradient of the transformed kernels. */
static void winograd_weight_gradient(const Layer *l, long samples, const real *x, const real *g,
                                     real *du, real *v, real *m)
{
    long channels = l->shape.in, tiles = samples * (l->shape.height / 2) * (l->shape.width / 2);
    for (long first = 0; first < tiles; first += TILES) {
        long count = tiles - first < TILES ? tiles - first : TILES;
        transform_inputs(l, x, first, count, v);
        transform_gradients(l, g, first, count, m);
        for (long f = 0; f < FREQUENCIES; f++)
            for (long i = 0; i < channels; i += ROWS)
                for (long c = 0; c < channels; c += LANES) {
                    vector sums[ROWS] = {{0}};
                    add_outer(sums, v + f * PLANE + tile_channel(0, i), GROUP,
                              m + f * PLANE + tile_channel(0, c), GROUP, count);
                    add_to(du + (f * channels + i) * channels + c, channels, sums, ROWS);
                }
    }
}

/* ---------------------------------------------------------------------------------------------- */
/* Direct convolutions.                                                                           */

/* y = relu(conv(x) + bias [+ identity]), kernels w: [block of outputs][3][3][input][LANES]. */
static void direct(const Layer *l, long samples, const real *x, const real *w, const real *bias,
                   real *y)
{
    const Shape *s = &l->shape;
    long x_line = (s->width + 2) * s->in, y_line = (l->out_width + 2) * s->out;
    long step = s->stride * s->in;
    for (long n = 0; n < samples; n++)
        for (long h = 0; h < l->out_height; h++)
            for (long c = 0; c < s->out; c += LANES)
                for (long column = 0; column < l->out_width; column += PIXELS) {
                    /* Of the input pixels above left of the output pixels. */
                    const real *p = x + n * l->in_sample + h * s->stride * x_line + column * step;
                    vector sums[PIXELS] = {{0}};
                    for (long k = 0; k < 3; k++) {
                        const real *row = p + k * x_line;
                        const real *kernel = w + (c * 3 + k * LANES) * 3 * s->in;
                        ADD_PRODUCTS(PIXELS, sums, row, step, kernel, 3 * s->in)
                    }
                    const real *identity = p + x_line + s->in + c % s->in;
                    real *q = y + n * l->out_sample + (h + 1) * y_line + (column + 1) * s->out + c;
                    for (long r = 0; r < PIXELS && column + r < l->out_width; r++) {
                        vector value = sums[r] + load(bias + c);
                        if (s->identity)
                            value += load(identity + r * step);
                        store(q + r * s->out, where_positive(value, value));
                    }
                }
}

/* Gradient of the input of a convolution with stride 2, before the ReLU that made the input x (NULL:
 * there is no ReLU).
 *
 * Input pixels of even rows saw one row of the kernel (1), odd ones saw two (2 and 0, of the output
 * row above and below), and the same holds for columns: every parity is a convolution of its own.
 * Kernels w: [block of inputs][parity][row][column][output][LANES]. */
static void strided_input_gradient(const Layer *l, long samples, const real *g, const real *w,
                                   const real *x, real *dx)
{
    const Shape *s = &l->shape;
    long x_line = (s->width + 2) * s->in, g_line = (l->out_width + 2) * s->out;
    for (long n = 0; n < samples; n++)
        for (long h = 0; h < l->out_height; h++)
            for (long c = 0; c < s->in; c += LANES) {
                const real *kernel = w + c * 9 * s->out;
                for (long parity = 0; parity < 4; parity++) {
                    long odd_row = parity / 2, odd_column = parity % 2;
                    long values = (1 + odd_column) * s->out;
                    for (long column = 0; column < l->out_width; column += PIXELS) {
                        const real *p = g + n * l->out_sample + (h + 1) * g_line
                                        + (column + 1) * s->out;
                        vector sums[PIXELS] = {{0}};
                        for (long k = 0; k <= odd_row; k++) {
                            const real *row = p + k * g_line, *part = kernel + k * values * LANES;
                            ADD_PRODUCTS(PIXELS, sums, row, s->out, part, values)
                        }
                        long at = n * l->in_sample + (2 * h + odd_row + 1) * x_line
                                  + (2 * column + odd_column + 1) * s->in + c;
                        for (long r = 0; r < PIXELS && column + r < l->out_width; r++) {
                            vector value = sums[r];
                            /* The identity connection led from even pixels to all its copies. */
                            if (s->identity && parity == 0)
                                for (long o = c; o < s->out; o += s->in)
                                    value += load(p + r * s->out + o);
                            long here = at + r * 2 * s->in;
                            store(dx + here, x ? where_positive(value, load(x + here)) : value);
                        }
                    }
                    kernel += (1 + odd_row) * values * LANES;
                }
            }
}

/* dw[3][3][input][output] += gradient of the weights. */
static void direct_weight_gradient(const Layer *l, long samples, const real *x, const real *g,
                                   real *dw)
{
    const Shape *s = &l->shape;
    long x_line = (s->width + 2) * s->in, g_line = (l->out_width + 2) * s->out;
    long values = 3 * s->in;
    for (long n = 0; n < samples; n++)
        for (long k = 0; k < 3; k++)
            for (long q = 0; q < values; q += ROWS)
                for (long c = 0; c < s->out; c += LANES) {
                    /* The last sums may be of inputs beyond the row: they are not stored. */
                    vector sums[ROWS] = {{0}};
                    const real *xp = x + n * l->in_sample + k * x_line + q;
                    const real *gp = g + n * l->out_sample + g_line + s->out + c;
                    for (long h = 0; h < l->out_height; h++)
                        add_outer(sums, xp + h * s->stride * x_line, s->stride * s->in,
                                  gp + h * g_line, s->out, l->out_width);
                    long rows = values - q < ROWS ? values - q : ROWS;
                    add_to(dw + (k * values + q) * s->out + c, s->out, sums, rows);
                }
}

/* total[channel] += sum over pixels of y, which is like the output of l; row by row to round less.
 * On a gradient, this is the gradient of the biases. */
static void add_channel_sums(const Layer *l, long samples, const real *y, real *total)
{
    long channels = l->shape.out, line = (l->out_width + 2) * channels;
    for (long n = 0; n < samples; n++)
        for (long c = 0; c < channels; c += LANES) {
            vector sum = {0};
            for (long h = 1; h <= l->out_height; h++) {
                const real *p = y + n * l->out_sample + h * line + c;
                vector row = {0};
                for (long column = 1; column <= l->out_width; column++)
                    row += load(p + column * channels);
                sum += row;
            }
            store(total + c, load(total + c) + sum);
        }
}

/* ---------------------------------------------------------------------------------------------- */
/* Weights from the caller's order to that of the inner loops, gradients back.                    */

/* Taps of the kernels from input i to outputs o .. o + LANES - 1, or with `backward` from output i
 * to inputs o .. */
static void gather(const Parameters *p, long i, long o, int backward, vector taps[9])
{
    real values[9][LANES];
    const int64_t *s = p->strides;
    long lane = backward ? s[1] : s[0], other = backward ? s[0] : s[1];
    const real *w = p->weight + o * lane + i * other;
    for (long k = 0; k < 9; k++) {
        const real *tap = w + k / 3 * s[2] + k % 3 * s[3];
        if (lane == 1) {
            taps[k] = load(tap);
            continue;
        }
        for (long n = 0; n < LANES; n++)
            values[k][n] = tap[n * lane];
        taps[k] = load(values[k]);
    }
}

/* u[frequency][block][i][LANES] = G w G^T; the backward kernels are rotated by half a turn. */
static void pack_winograd(const Layer *l, const Parameters *p, int backward, real *u)
{
    long channels = l->shape.in;
    for (long o = 0; o < channels; o += LANES)
        for (long i = 0; i < channels; i++) {
            vector taps[9], half[4][3], full[4];
            gather(p, i, o, backward, taps);
            for (long j = 0; j < 3; j++) {
                vector column[4];
                if (backward)
                    KERNEL(column, taps[8 - j], taps[5 - j], taps[2 - j]);
                else
                    KERNEL(column, taps[j], taps[3 + j], taps[6 + j]);
                for (long k = 0; k < 4; k++)
                    half[k][j] = column[k];
            }
            for (long k = 0; k < 4; k++) {
                KERNEL(full, half[k][0], half[k][1], half[k][2]);
                for (long j = 0; j < 4; j++)
                    store(u + ((4 * k + j) * channels + o) * channels + i * LANES, full[j]);
            }
        }
}

static void pack_direct(const Layer *l, const Parameters *p, real *w)
{
    long in = l->shape.in;
    for (long o = 0; o < l->shape.out; o += LANES)
        for (long i = 0; i < in; i++) {
            vector taps[9];
            gather(p, i, o, 0, taps);
            for (long k = 0; k < 9; k++)
                store(w + o * 9 * in + (k * in + i) * LANES, taps[k]);
        }
}

/* For strided_input_gradient: taps by parity of row and column. */
static void pack_strided_backward(const Layer *l, const Parameters *p, real *w)
{
    static const int order[9] = {4, 5, 3, 7, 1, 8, 6, 2, 0};
    long out = l->shape.out;
    for (long i = 0; i < l->shape.in; i += LANES)
        for (long o = 0; o < out; o++) {
            vector taps[9];
            gather(p, o, i, 1, taps);
            for (long k = 0; k < 9; k++)
                store(w + i * 9 * out + (k * out + o) * LANES, taps[order[k]]);
        }
}

/* Write the gradients of a layer from slot 0, which holds the sum of all slots. */
static void unpack_gradients(const Layer *l, const Parameters *p, const real *total)
{
    long in = l->shape.in, out = l->shape.out;
    const int64_t *s = p->grad_strides;
    for (long i = 0; i < in; i++)
        for (long o = 0; o < out; o += LANES) {
            const real *d = total + i * out + o;
            vector taps[9], half[3][4];
            if (l->winograd) {
                for (long j = 0; j < 4; j++) {
                    vector column[3], f[4];
                    for (long k = 0; k < 4; k++)
                        f[k] = load(d + (4 * k + j) * in * out);
                    KERNEL_GRADIENT(column, f[0], f[1], f[2], f[3]);
                    for (long k = 0; k < 3; k++)
                        half[k][j] = column[k];
                }
                for (long k = 0; k < 3; k++)
                    KERNEL_GRADIENT(taps + 3 * k, half[k][0], half[k][1], half[k][2], half[k][3]);
            } else {
                for (long k = 0; k < 9; k++)
                    taps[k] = load(d + k * in * out);
            }
            for (long k = 0; k < 9; k++)
                for (long n = 0; n < LANES; n++)
                    p->weight_grad[(o + n) * s[0] + i * s[1] + k / 3 * s[2] + k % 3 * s[3]] =
                        taps[k][n];
        }
    memcpy(p->bias_grad, total + l->kernel_values, out * sizeof(real));
}

/* ---------------------------------------------------------------------------------------------- */
/* A chunk of samples through the whole network.                                                  */

typedef struct {
    const Plan *plan;
    const Parameters *parameters;
    const Batch *batch;
    long slots;               /* in use */
    real *memory;             /* of this thread */
    /* For input_gradient only: [count][row][column][channel] with borders. */
    long count;
    const real *gradient;
    real *input_gradient;
} Work;

static long chunks(const Plan *plan, long count)
{
    return (count + plan->chunk - 1) / plan->chunk;
}

static long chunk_samples(const Plan *plan, long count, long chunk)
{
    long left = count - chunk * plan->chunk;
    return left < plan->chunk ? left : plan->chunk;
}

static void copy_images(const Plan *plan, const Batch *batch, long chunk, real *x)
{
    const Layer *first = plan->layers;
    const Shape *s = &first->shape;
    const int64_t *strides = batch->strides;
    for (long n = 0; n < chunk_samples(plan, batch->count, chunk); n++)
        for (long h = 0; h < s->height; h++)
            for (long w = 0; w < s->width; w++)
                for (long c = 0; c < s->in; c++)
                    x[n * first->in_sample + ((h + 1) * (s->width + 2) + w + 1) * s->in + c] =
                        batch->images[(chunk * plan->chunk + n) * strides[0] + c * strides[1]
                                      + h * strides[2] + w * strides[3]];
}


/* Cross-entropy of one sample; replaces the logits z by its gradient. In double precision, because
 * it costs nothing here. */
static double cross_entropy(real *z, long classes, long label)
{
    double top = z[0], sum = 0;
    for (long k = 1; k < classes; k++)
        top = z[k] > top ? z[k] : top;
    for (long k = 0; k < classes; k++)
        sum += exp(z[k] - top);
    double loss = log(sum) - (z[label] - top);
    for (long k = 0; k < classes; k++)
        z[k] = (real)(exp(z[k] - top) / sum - (k == label));
    return loss;
}

/* The first largest logit; NaN counts as largest, as in torch.argmax. */
static long prediction(const real *z, long classes)
{
    long best = 0;
    for (long k = 1; k < classes; k++)
        if (z[k] > z[best] || (isnan(z[k]) && !isnan(z[best])))
            best = k;
    return best;
}

static void forward(const Work *work, long chunk)
{
    const Plan *plan = work->plan;
    const Batch *batch = work->batch;
    real *memory = work->memory, *pooled = memory + plan->pooled;
    long samples = chunk_samples(plan, batch->count, chunk);
    copy_images(plan, batch, chunk, memory + plan->layers[0].input);
    for (long i = 0; i < plan->depth; i++) {
        const Layer *l = &plan->layers[i];
        const real *x = memory + l->input, *bias = work->parameters[i].bias;
        real *y = memory + plan->layers[i + 1].input;
        if (l->winograd)
            winograd(l, samples, x, l->forward, bias, l->shape.identity ? x : NULL, RELU, NULL, y,
                     memory + plan->tiles_in, memory + plan->tiles_out);
        else
            direct(l, samples, x, l->forward, bias, y);
    }
    const Layer *last = &plan->layers[plan->depth - 1];
    long features = plan->features;
    memset(pooled, 0, plan->chunk * features * sizeof(real));
    const real *output = memory + plan->layers[plan->depth].input;
    for (long n = 0; n < samples; n++) {
        real *a = pooled + n * features;
        add_channel_sums(last, 1, output + n * last->out_sample, a);
        for (long c = 0; c < features; c++)
            a[c] /= last->out_height * last->out_width;
        for (long k = 0; k < plan->classes; k++) {
            double sum = batch->bias[k];
            for (long c = 0; c < features; c++)
                sum += (double)batch->weight[k * features + c] * a[c];
            batch->logits[(chunk * plan->chunk + n) * plan->classes + k] = (real)sum;
        }
    }
}

/* Losses of a chunk and, in `slot`, the gradients of linear layer and average pooling. */
static void head_backward(const Work *work, long chunk, real *slot)
{
    const Plan *plan = work->plan;
    const Batch *batch = work->batch;
    const Layer *last = &plan->layers[plan->depth - 1];
    long features = plan->features, line = (last->out_width + 2) * features;
    real *weight_grad = slot + plan->linear_gradient;
    real *bias_grad = weight_grad + plan->classes * features;
    real *pooled = work->memory + plan->pooled;
    for (long n = 0; n < chunk_samples(plan, batch->count, chunk); n++) {
        long sample = chunk * plan->chunk + n;
        real *z = batch->logits + sample * plan->classes, *a = pooled + n * features;
        long label = batch->labels[sample];
        batch->wrong[sample] = prediction(z, plan->classes) != label;
        batch->losses[sample] = (real)cross_entropy(z, plan->classes, label);
        for (long k = 0; k < plan->classes; k++) {
            z[k] /= batch->count;
            bias_grad[k] += z[k];
            for (long c = 0; c < features; c++)
                weight_grad[k * features + c] += z[k] * a[c];
        }
        for (long c = 0; c < features; c++) {
            double sum = 0;
            for (long k = 0; k < plan->classes; k++)
                sum += (double)z[k] * batch->weight[k * features + c];
            a[c] = (real)(sum / (last->out_height * last->out_width));
        }
        const real *y = work->memory + plan->layers[plan->depth].input + n * last->out_sample;
        real *g = work->memory + plan->layers[plan->depth].input_gradient + n * last->out_sample;
        for (long h = 1; h <= last->out_height; h++)
            for (long w = 1; w <= last->out_width; w++)
                for (long c = 0; c < features; c += LANES) {
                    long at = h * line + w * features + c;
                    store(g + at, where_positive(load(a + c), load(y + at)));
                }
    }
}

static void backward(const Work *work, long chunk, real *slot)
{
    const Plan *plan = work->plan;
    long samples = chunk_samples(plan, work->batch->count, chunk);
    real *memory = work->memory, *v = memory + plan->tiles_in, *m = memory + plan->tiles_out;
    head_backward(work, chunk, slot);
    for (long i = plan->depth - 1; i >= 0; i--) {
        const Layer *l = &plan->layers[i];
        const real *x = memory + l->input, *g = memory + plan->layers[i + 1].input_gradient;
        real *weight_grad = slot + l->gradient, *dx = memory + l->input_gradient;
        add_channel_sums(l, samples, g, weight_grad + l->kernel_values);
        if (l->winograd)
            winograd_weight_gradient(l, samples, x, g, weight_grad, v, m);
        else
            direct_weight_gradient(l, samples, x, g, weight_grad);
        if (i == 0)
            break; /* nobody needs the gradient of the pictures */
        if (l->winograd)
            winograd(l, samples, g, l->backward, NULL, l->shape.identity ? g : NULL, GATE, x, dx,
                     v, m);
        else
            strided_input_gradient(l, samples, g, l->backward, x, dx);
    }
}

/* ---------------------------------------------------------------------------------------------- */
/* Threads.                                                                                       */

typedef void Task(const Work *work, long index);

typedef struct {
    const Work *work;
    Task *task;
    long count;
    atomic_long next;
    atomic_long threads;
} Queue;

static void *run_tasks(void *argument)
{
    Queue *queue = argument;
    Work work = *queue->work;
    work.memory = work.plan->memory[atomic_fetch_add(&queue->threads, 1)];
    for (long i; (i = atomic_fetch_add(&queue->next, 1)) < queue->count;)
        queue->task(&work, i);
    return NULL;
}

/* Run task(0) ... task(count - 1), each once, on as many threads as the plan says. If the system
 * refuses a thread, the others do its work. */
static void run(const Work *work, Task *task, long count)
{
    Queue queue = {.work = work, .task = task, .count = count};
    pthread_t threads[MAX_THREADS];
    long started = 0;
    while (started + 1 < work->plan->threads && started + 1 < count
           && !pthread_create(&threads[started], NULL, run_tasks, &queue))
        started++;
    run_tasks(&queue);
    while (started > 0)
        pthread_join(threads[--started], NULL);
}

static void forward_task(const Work *work, long chunk) { forward(work, chunk); }

static void slot_task(const Work *work, long slot)
{
    real *gradients = work->plan->slots[slot];
    memset(gradients, 0, work->plan->slot_values * sizeof(real));
    for (long chunk = slot; chunk * work->plan->chunk < work->batch->count; chunk += SLOTS) {
        forward(work, chunk);
        backward(work, chunk, gradients);
    }
}

static void pack_forward_task(const Work *work, long i)
{
    const Layer *l = &work->plan->layers[i];
    if (l->winograd)
        pack_winograd(l, &work->parameters[i], 0, l->forward);
    else
        pack_direct(l, &work->parameters[i], l->forward);
}

static void pack_backward_task(const Work *work, long i)
{
    const Layer *l = &work->plan->layers[i];
    if (i == 0)
        return;
    if (l->winograd)
        pack_winograd(l, &work->parameters[i], 1, l->backward);
    else
        pack_strided_backward(l, &work->parameters[i], l->backward);
}

/* Add `count` values from `start` of all slots in order to slot 0; `count` is rounded up to whole
 * vectors, for which `take` left room. */
static void add_slots(const Work *work, long start, long count)
{
    real *const *slots = work->plan->slots;
    for (long k = start; k < start + count; k += LANES) {
        vector sum = load(slots[0] + k);
        for (long s = 1; s < work->slots; s++)
            sum += load(slots[s] + k);
        store(slots[0] + k, sum);
    }
}

static void finish_task(const Work *work, long i)
{
    const Plan *plan = work->plan;
    const Layer *l = &plan->layers[i];
    if (i < plan->depth) {
        add_slots(work, l->gradient, l->kernel_values + l->shape.out);
        unpack_gradients(l, &work->parameters[i], plan->slots[0] + l->gradient);
        return;
    }
    long weights = plan->classes * plan->features;
    const real *total = plan->slots[0] + plan->linear_gradient;
    add_slots(work, plan->linear_gradient, weights + plan->classes);
    memcpy(work->batch->weight_grad, total, weights * sizeof(real));
    memcpy(work->batch->bias_grad, total + weights, plan->classes * sizeof(real));
}

/* Set logits. */
void plan_logits(const Plan *plan, const Parameters *parameters, const Batch *batch)
{
    Work work = {.plan = plan, .parameters = parameters, .batch = batch};
    run(&work, pack_forward_task, plan->depth);
    run(&work, forward_task, chunks(plan, batch->count));
}

/* Set losses, wrong and all gradients of the mean loss; `logits` is overwritten. */
void plan_gradients(const Plan *plan, const Parameters *parameters, const Batch *batch)
{
    long count = chunks(plan, batch->count);
    Work work = {.plan = plan, .parameters = parameters, .batch = batch,
                 .slots = count < SLOTS ? count : SLOTS};
    run(&work, pack_forward_task, plan->depth);
    run(&work, pack_backward_task, plan->depth);
    run(&work, slot_task, work.slots);
    run(&work, finish_task, plan->depth + 1);
}

/* A plan for input_gradient; NULL if there is not enough memory. Stride 1 needs as many outputs as
 * inputs. */
Plan *input_gradient_plan(int64_t in, int64_t out, int64_t height, int64_t width, int64_t stride,
                          int64_t threads)
{
    const Shape shape = {in, out, height, width, stride, 0};
    return plan_create(&shape, 1, 0, threads);
}

static void input_gradient_task(const Work *work, long chunk)
{
    const Plan *plan = work->plan;
    const Layer *l = plan->layers;
    long first = chunk * plan->chunk, samples = chunk_samples(plan, work->count, chunk);
    const real *g = work->gradient + first * l->out_sample;
    real *dx = work->input_gradient + first * l->in_sample;
    if (l->winograd)
        winograd(l, samples, g, l->backward, NULL, NULL, LINEAR, NULL, dx,
                 work->memory + plan->tiles_in, work->memory + plan->tiles_out);
    else
        strided_input_gradient(l, samples, g, l->backward, NULL, dx);
}

/* Set dx [count][height + 2][width + 2][in], but for its border, to the gradient of a convolution's
 * input; g [count][output's height + 2][its width + 2][out] is that of its output, with a border of
 * zeros, and weight [out][in][3][3]. Behind g there are input_gradient_slack values to read. */
void input_gradient(const Plan *plan, const real *weight, int64_t count, const real *g, real *dx)
{
    const Layer *l = plan->layers;
    const int64_t in = l->shape.in;
    const Parameters parameters = {.weight = weight, .strides = {9 * in, 9, 3, 1}};
    if (l->winograd)
        pack_winograd(l, &parameters, 1, l->backward);
    else
        pack_strided_backward(l, &parameters, l->backward);
    Work work = {.plan = plan, .count = count, .gradient = g, .input_gradient = dx};
    run(&work, input_gradient_task, chunks(plan, count));
}

int64_t input_gradient_slack(const Plan *plan) { return PIXELS * plan->layers[0].shape.out; }

/* Sizes of the structures, for network.py to compare with its own. */
int64_t size_of_shape(void) { return sizeof(Shape); }
int64_t size_of_parameters(void) { return sizeof(Parameters); }
int64_t size_of_batch(void) { return sizeof(Batch); }
