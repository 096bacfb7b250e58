/* A topological order of stars in C: the algorithm of `../order.py`, on arrays. Nothing here knows Python.

   Stars and lines live in two arrays and refer to each other by index, so that a search touches little memory. Index 0
   is none of them: slot ENDS stands before the first star and after the last, line NONE ends a list of lines. Whoever
   calls sees to it that slots are in use, and that there is memory for one more star or line before adding it. */

#ifndef CONSTELLATION_ORDER_H
#define CONSTELLATION_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#define ENDS 0
#define NONE 0
#define FREE (-1) /* in `before`: the slot is not in use, and `after` is the next one that is not */

#define MOST_STARS ((int32_t)1 << 26)
#define MOST_LINES INT32_MAX

typedef struct {
    int64_t position;
    int64_t serial;            /* its place among all stars in the order in which they were added */
    int32_t before, after;     /* in the order */
    int32_t outbound, inbound; /* the first of its lines */
    uint32_t mark;             /* the search that found it last */
    int32_t parent;            /* from where that search came */
    int32_t next;              /* what else it found */
    int32_t cursor;            /* the line that it follows next; for a way, how far away the end is */
} Star;

typedef struct {
    int32_t source, target;
    int32_t next_outbound, previous_outbound; /* among the lines out of its source; before the first is the last */
    int32_t next_inbound, previous_inbound;   /* among the lines into its target, likewise */
} Line;

typedef struct {
    Star *stars;
    int32_t star_count; /* slots that have ever been in use, ENDS among them */
    int32_t star_room;  /* slots that there is memory for */
    int32_t free_star;  /* a slot that is not in use any more */
    Line *lines;
    int32_t line_count, line_room;
    int32_t free_line; /* linked by `next_outbound` */
    uint32_t mark;     /* of the last search */
} Order;

/* The slot that the next star gets. */
int32_t next_slot(const Order *order);

/* Put a star without lines at the end, into that slot. */
void append_star(Order *order, int64_t serial);

/* Take out a star without lines. */
void remove_star(Order *order, int32_t slot);

/* Add a line that is not there yet, and make the order fit it. False if it would close a cycle: then nothing changes. */
bool connect_stars(Order *order, int32_t source, int32_t target);

/* Remove a line. False if there is none. */
bool disconnect_stars(Order *order, int32_t source, int32_t target);

/* Link the stars on a shortest way from one to another by `next`, the one with the least serial each time. False if no
   way leads there. */
bool find_way(Order *order, int32_t start, int32_t end);

/* Replace the weight of each star by that of the heaviest way from it to an end, 0 at the least. There is one weight for
   each slot. */
void weigh_ways(const Order *order, double *weights);

#endif
