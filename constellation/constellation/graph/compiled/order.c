/* Keeping a list of stars in an order that fits the lines between them; `order.h` says what each function does.

   A search goes depth first, and both its way back (`parent`) and what it has found (`next`) are linked through the
   stars, so that it needs no memory of its own and can't fail. What it has found comes out in an order that fits the
   lines, and needs no sorting. Searches tell by `mark` which stars they have found: each has numbers of its own. Those
   from both ends of a line take turns. */

#include "order.h"

#define GAP ((int64_t)1 << 32) /* how far apart positions are at first */
#define FARTHEST (GAP * 8)     /* on either side of 0, for each star that there is memory for: within 2^61 for the most */
#define LINES_IN_A_STEP 8      /* before it is the other side's turn, lest it waits for a star with very many */

/* --- the list of stars ---------------------------------------------------------------------------------------- */

static void
unlink_star(Star *stars, int32_t slot)
{
    stars[stars[slot].before].after = stars[slot].after;
    stars[stars[slot].after].before = stars[slot].before;
}

/* Positions wander away from 0 as stars go to the front or the end again and again: begin anew. */
static void
number_all(Order *order)
{
    Star *stars = order->stars;
    int64_t position = 0;
    for (int32_t slot = stars[ENDS].after; slot != ENDS; slot = stars[slot].after) {
        stars[slot].position = position += GAP;
    }
}

/* Link `count` stars, which hang together by `next`, into the list after a place, and number them and as many behind
   them as it takes. */
static void
put_after(Order *order, int32_t place, int32_t found, int64_t count)
{
    Star *stars = order->stars;
    int32_t following = stars[place].after, last = place;
    for (int32_t slot = found; slot != NONE; slot = stars[slot].next) {
        stars[slot].before = last;
        stars[last].after = slot;
        last = slot;
    }
    stars[last].after = following;
    stars[following].before = last;

    int64_t parts = count + 1, step = GAP;
    int64_t first = place != ENDS ? stars[place].position : stars[following].position - parts * GAP;
    for (; following != ENDS; following = stars[following].after) {
        int64_t room = stars[following].position - first;
        if (room > parts * parts) {
            step = room / parts;
            break;
        }
        parts++;
    }
    int64_t farthest = order->star_room * FARTHEST;
    if (first < -farthest || first > farthest - parts * step) {
        number_all(order);
        return;
    }
    for (int32_t slot = stars[place].after; slot != following; slot = stars[slot].after) {
        stars[slot].position = first += step;
    }
}

/* --- searching ------------------------------------------------------------------------------------------------ */

/* The number by which a search marks what it finds; the one after it is its own as well. */
static uint32_t
next_mark(Order *order)
{
    if (order->mark > UINT32_MAX - 4) {
        for (int32_t slot = 0; slot < order->star_count; slot++) {
            order->stars[slot].mark = 0;
        }
        order->mark = 0;
    }
    order->mark += 2;
    return order->mark;
}

typedef struct {
    uint32_t mark;
    int64_t bound;       /* the position beyond which it does not go */
    int32_t star;        /* where it is */
    int32_t found, last; /* what it is done with, in an order that fits the lines */
    int64_t count;
} Side;

typedef enum { GOES_ON, HAS_ENDED, MEETS } Step;

static void
enter(Star *stars, Side *side, int32_t slot, int32_t first_line)
{
    stars[slot].mark = side->mark;
    stars[slot].parent = side->star;
    stars[slot].cursor = first_line;
    side->star = slot;
}

/* Be done with the star where a side is. */
static Step
leave(Star *stars, Side *side)
{
    side->count++;
    side->star = stars[side->star].parent;
    return side->star == NONE ? HAS_ENDED : GOES_ON;
}

/* Follow the lines out of a star to the next one that is new, or be done with the star: then it comes before all that
   was found behind it. */
static Step
step_forward(Star *stars, const Line *lines, Side *side, uint32_t mark_of_other_side)
{
    int32_t slot = side->star, cursor = stars[slot].cursor;
    for (int looked_at = 1; cursor != NONE; looked_at++) {
        int32_t target = lines[cursor].target;
        if (stars[target].mark == mark_of_other_side) {
            return MEETS;
        }
        bool is_new = stars[target].mark != side->mark && stars[target].position <= side->bound;
        if (is_new || looked_at == LINES_IN_A_STEP) {
            stars[slot].cursor = lines[cursor].next_outbound;
            if (is_new) {
                enter(stars, side, target, stars[target].outbound);
            }
            return GOES_ON;
        }
        cursor = lines[cursor].next_outbound;
    }
    stars[slot].next = side->found;
    side->found = slot;
    return leave(stars, side);
}

/* Follow the lines into a star to the next one that is new, or be done with the star: then it comes after all that was
   found before it. */
static Step
step_backward(Star *stars, const Line *lines, Side *side, uint32_t mark_of_other_side)
{
    int32_t slot = side->star, cursor = stars[slot].cursor;
    for (int looked_at = 1; cursor != NONE; looked_at++) {
        int32_t source = lines[cursor].source;
        if (stars[source].mark == mark_of_other_side) {
            return MEETS;
        }
        bool is_new = stars[source].mark != side->mark && stars[source].position >= side->bound;
        if (is_new || looked_at == LINES_IN_A_STEP) {
            stars[slot].cursor = lines[cursor].next_inbound;
            if (is_new) {
                enter(stars, side, source, stars[source].inbound);
            }
            return GOES_ON;
        }
        cursor = lines[cursor].next_inbound;
    }
    stars[slot].next = NONE;
    if (side->last == NONE) {
        side->found = slot;
    } else {
        stars[side->last].next = slot;
    }
    side->last = slot;
    return leave(stars, side);
}

/* Reorder so that a line fits that points the wrong way. Whether it could be done: if not, nothing has changed. */
static bool
make_room(Order *order, int32_t source, int32_t target)
{
    if (source == target) {
        return false;
    }
    Star *stars = order->stars;
    const Line *lines = order->lines;
    uint32_t mark = next_mark(order);
    Side behind = {.mark = mark, .bound = stars[source].position};
    Side ahead = {.mark = mark + 1, .bound = stars[target].position};
    enter(stars, &behind, target, stars[target].outbound);
    enter(stars, &ahead, source, stars[source].inbound);
    const Side *side;
    Step step;
    do {
        side = &behind;
        step = step_forward(stars, lines, &behind, ahead.mark);
        if (step == GOES_ON) {
            side = &ahead;
            step = step_backward(stars, lines, &ahead, behind.mark);
        }
    } while (step == GOES_ON);
    if (step == MEETS) {
        return false;
    }
    for (int32_t slot = side->found; slot != NONE; slot = stars[slot].next) {
        unlink_star(stars, slot);
    }
    put_after(order, side == &behind ? source : stars[target].before, side->found, side->count);
    return true;
}

/* Mark the stars from which the end can be reached, nearest first, with how far it is, until the start is among them.
   Whether it is. */
static bool
measure(Star *stars, const Line *lines, uint32_t mark, int32_t start, int32_t end)
{
    stars[end].mark = mark;
    stars[end].cursor = 0;
    stars[end].next = NONE;
    int32_t last = end;
    for (int32_t slot = end; slot != NONE && stars[start].mark != mark; slot = stars[slot].next) {
        for (int32_t line = stars[slot].inbound; line != NONE; line = lines[line].next_inbound) {
            int32_t source = lines[line].source;
            if (stars[source].mark != mark && stars[source].position >= stars[start].position) {
                stars[source].mark = mark;
                stars[source].cursor = stars[slot].cursor + 1;
                stars[source].next = NONE;
                stars[last].next = source;
                last = source;
            }
        }
    }
    return stars[start].mark == mark;
}

bool
find_way(Order *order, int32_t start, int32_t end)
{
    Star *stars = order->stars;
    const Line *lines = order->lines;
    uint32_t mark = next_mark(order);
    if (!measure(stars, lines, mark, start, end)) {
        return false;
    }
    for (int32_t slot = start; slot != end; slot = stars[slot].next) {
        int32_t best = NONE;
        for (int32_t line = stars[slot].outbound; line != NONE; line = lines[line].next_outbound) {
            int32_t target = lines[line].target;
            bool nearer = stars[target].mark == mark && stars[target].cursor == stars[slot].cursor - 1;
            if (nearer && (best == NONE || stars[target].serial < stars[best].serial)) {
                best = target;
            }
        }
        stars[slot].next = best;
    }
    stars[end].next = NONE;
    return true;
}

void
weigh_ways(const Order *order, double *weights)
{
    const Star *stars = order->stars;
    const Line *lines = order->lines;
    for (int32_t slot = stars[ENDS].before; slot != ENDS; slot = stars[slot].before) {
        double behind = 0;
        for (int32_t line = stars[slot].outbound; line != NONE; line = lines[line].next_outbound) {
            double way = weights[lines[line].target];
            behind = way > behind ? way : behind;
        }
        double way = weights[slot] + behind;
        weights[slot] = way > 0 ? way : 0;
    }
}

/* --- stars and lines ------------------------------------------------------------------------------------------ */

int32_t
next_slot(const Order *order)
{
    return order->free_star != NONE ? order->free_star : order->star_count;
}

void
append_star(Order *order, int64_t serial)
{
    Star *stars = order->stars;
    int32_t slot = next_slot(order);
    if (slot == order->star_count) {
        order->star_count++;
    } else {
        order->free_star = stars[slot].after;
    }
    stars[slot] = (Star){.serial = serial};
    put_after(order, stars[ENDS].before, slot, 1);
}

void
remove_star(Order *order, int32_t slot)
{
    unlink_star(order->stars, slot);
    order->stars[slot].before = FREE;
    order->stars[slot].after = order->free_star;
    order->free_star = slot;
}

bool
connect_stars(Order *order, int32_t source, int32_t target)
{
    Star *stars = order->stars;
    if (stars[source].position >= stars[target].position && !make_room(order, source, target)) {
        return false;
    }
    Line *lines = order->lines;
    int32_t number = order->free_line;
    if (number == NONE) {
        number = order->line_count++;
    } else {
        order->free_line = lines[number].next_outbound;
    }
    lines[number] = (Line){
        .source = source,
        .target = target,
        .next_outbound = stars[source].outbound,
        .next_inbound = stars[target].inbound,
    };
    int32_t first_outbound = stars[source].outbound, first_inbound = stars[target].inbound;
    lines[number].previous_outbound = first_outbound != NONE ? lines[first_outbound].previous_outbound : number;
    lines[number].previous_inbound = first_inbound != NONE ? lines[first_inbound].previous_inbound : number;
    if (first_outbound != NONE) {
        lines[first_outbound].previous_outbound = number;
    }
    if (first_inbound != NONE) {
        lines[first_inbound].previous_inbound = number;
    }
    stars[source].outbound = stars[target].inbound = number;
    return true;
}

/* A line, looked for at both its stars in turns: one of them may have very many. At each from both ends, since who
   removes all lines of a star one by one begins with the oldest or the newest. NONE if there is none. */
static int32_t
find_line(const Order *order, int32_t source, int32_t target)
{
    const Line *lines = order->lines;
    int32_t outbound = order->stars[source].outbound, inbound = order->stars[target].inbound;
    int32_t last_outbound = lines[outbound].previous_outbound, last_inbound = lines[inbound].previous_inbound;
    while (outbound != NONE && inbound != NONE) {
        if (lines[outbound].target == target) {
            return outbound;
        }
        if (lines[inbound].source == source) {
            return inbound;
        }
        if (lines[last_outbound].target == target) {
            return last_outbound;
        }
        if (lines[last_inbound].source == source) {
            return last_inbound;
        }
        outbound = lines[outbound].next_outbound;
        inbound = lines[inbound].next_inbound;
        last_outbound = lines[last_outbound].previous_outbound;
        last_inbound = lines[last_inbound].previous_inbound;
    }
    return NONE;
}

bool
disconnect_stars(Order *order, int32_t source, int32_t target)
{
    int32_t number = find_line(order, source, target);
    if (number == NONE) {
        return false;
    }
    Line *lines = order->lines, *line = &lines[number];
    int32_t *first_outbound = &order->stars[source].outbound, *first_inbound = &order->stars[target].inbound;
    if (number == *first_outbound) {
        *first_outbound = line->next_outbound;
    } else {
        lines[line->previous_outbound].next_outbound = line->next_outbound;
    }
    if (number == *first_inbound) {
        *first_inbound = line->next_inbound;
    } else {
        lines[line->previous_inbound].next_inbound = line->next_inbound;
    }
    /* Without one after it, it was the last one: that is known to the first, if there still is one. */
    int32_t following = line->next_outbound != NONE ? line->next_outbound : *first_outbound;
    lines[following].previous_outbound = line->previous_outbound;
    following = line->next_inbound != NONE ? line->next_inbound : *first_inbound;
    lines[following].previous_inbound = line->previous_inbound;
    line->next_outbound = order->free_line;
    order->free_line = number;
    return true;
}
