/* The topological order of `order.py` in C. `PlainOrder` there says what each method means; the two differ in speed alone.

   Stars and lines live in two arrays and refer to each other by index, so that a search touches little memory. Index 0
   is none of them: slot ENDS stands before the first star and after the last, line NONE ends a list of lines.

   Each star has the lines out of it and the lines into it in two lists linked both ways. A search goes depth first, and
   both its way back (`parent`) and what it has found (`next`) are linked through the stars, so that it needs no memory
   of its own and can't fail. What it has found comes out in an order that fits the lines, and needs no sorting.
   Searches tell by `mark` which stars they have found: each has numbers of its own.

   No method runs Python code, or anything that may start a garbage collection, between looking at the arrays and being
   done with them. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000 /* Python 3.11 and all that follow */
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ENDS 0
#define NONE 0
#define FREE (-1) /* in `before`: the slot is not in use, and `after` is the next one that is not */

#define GAP ((int64_t)1 << 32)       /* how far apart positions are at first */
#define MOST_STARS ((int32_t)1 << 28) /* with gaps between them, twice as far as positions ever go */
#define MOST_LINES INT32_MAX
#define FARTHEST ((int64_t)1 << 61) /* positions stay within this, on either side of 0 */

typedef struct {
    int64_t position;
    int32_t before, after;   /* in the order */
    int32_t outbound, inbound; /* the first of its lines */
    uint32_t mark;           /* the search that found it last */
    int32_t parent;          /* from where that search came */
    int32_t next;            /* what else it found */
    int32_t cursor;          /* the line that it follows next; for `ways`, how far the end is */
} Star;

typedef struct {
    int32_t source, target;
    int32_t next_outbound, previous_outbound; /* among the lines out of its source */
    int32_t next_inbound, previous_inbound;   /* among the lines into its target */
} Line;

typedef struct {
    PyObject_HEAD
    Star *stars;
    int32_t star_count, star_room; /* slots that have ever been in use, ENDS among them; slots that there is memory for */
    int32_t free_star;
    Line *lines;
    int32_t line_count, line_room;
    int32_t free_line; /* linked by `next_outbound` */
    uint32_t mark;
} Order;

/* --- memory --------------------------------------------------------------------------------------------------- */

/* An array with room for one more entry, or NULL with an exception set; then the old one is as it was. */
static void *
grown(void *entries, size_t size, int32_t count, int32_t *room, int32_t most)
{
    if (count < *room) {
        return entries;
    }
    if (count >= most) {
        PyErr_SetString(PyExc_OverflowError, "a graph can't hold more stars or lines than this");
        return NULL;
    }
    int64_t wanted = (int64_t)*room + *room / 2 + 16;
    if (wanted > most) {
        wanted = most;
    }
    void *more = PyMem_Realloc(entries, (size_t)wanted * size);
    if (more == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    *room = (int32_t)wanted;
    return more;
}

/* Whether there is a star in a slot that Python has passed; sets an exception if not. */
static bool
find_slot(const Order *self, PyObject *argument, int32_t *slot)
{
    long value = PyLong_AsLong(argument);
    if (value == -1 && PyErr_Occurred()) {
        return false;
    }
    if (value <= ENDS || value >= self->star_count || self->stars[value].before == FREE) {
        PyErr_Format(PyExc_ValueError, "there is no star in slot %ld", value);
        return false;
    }
    *slot = (int32_t)value;
    return true;
}

static bool
find_two_slots(const Order *self, PyObject *const *arguments, Py_ssize_t count, int32_t *first, int32_t *second)
{
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "two slots are needed");
        return false;
    }
    return find_slot(self, arguments[0], first) && find_slot(self, arguments[1], second);
}

/* The number by which a search marks what it finds; the one after it is its own as well. */
static uint32_t
next_mark(Order *self)
{
    if (self->mark > UINT32_MAX - 4) {
        for (int32_t slot = 0; slot < self->star_count; slot++) {
            self->stars[slot].mark = 0;
        }
        self->mark = 0;
    }
    self->mark += 2;
    return self->mark;
}

/* --- the list of stars ---------------------------------------------------------------------------------------- */

static void
unlink_star(Star *stars, int32_t slot)
{
    stars[stars[slot].before].after = stars[slot].after;
    stars[stars[slot].after].before = stars[slot].before;
}

static void
number_all(Order *self)
{
    Star *stars = self->stars;
    int64_t position = 0;
    for (int32_t slot = stars[ENDS].after; slot != ENDS; slot = stars[slot].after) {
        stars[slot].position = position += GAP;
    }
}

/* Link `count` stars, which hang together by `next`, into the list after a place, and number them and as many behind
   them as it takes. */
static void
put_after(Order *self, int32_t place, int32_t found, int64_t count)
{
    Star *stars = self->stars;
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
    if (first < -FARTHEST || first > FARTHEST - parts * step) {
        number_all(self);
        return;
    }
    for (int32_t slot = stars[place].after; slot != following; slot = stars[slot].after) {
        stars[slot].position = first += step;
    }
}

/* --- searching ------------------------------------------------------------------------------------------------ */

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

/* Go on from a star, `other` of which a line leads to; it may have been found already, or lie out of bounds. */
static Step
visit(Star *stars, Side *side, uint32_t mark_of_other_side, int32_t other, bool within, int32_t first_line)
{
    if (stars[other].mark == mark_of_other_side) {
        return MEETS;
    }
    if (within && stars[other].mark != side->mark) {
        enter(stars, side, other, first_line);
    }
    return GOES_ON;
}

/* Follow one line out of a star, or be done with the star: then it comes before all that was found behind it. */
static Step
step_forward(Star *stars, const Line *lines, Side *side, uint32_t mark_of_other_side)
{
    int32_t slot = side->star, cursor = stars[slot].cursor;
    if (cursor != NONE) {
        int32_t target = lines[cursor].target;
        stars[slot].cursor = lines[cursor].next_outbound;
        bool within = stars[target].position <= side->bound;
        return visit(stars, side, mark_of_other_side, target, within, stars[target].outbound);
    }
    stars[slot].next = side->found;
    side->found = slot;
    side->count++;
    side->star = stars[slot].parent;
    return side->star == NONE ? HAS_ENDED : GOES_ON;
}

/* Follow one line into a star, or be done with the star: then it comes after all that was found before it. */
static Step
step_backward(Star *stars, const Line *lines, Side *side, uint32_t mark_of_other_side)
{
    int32_t slot = side->star, cursor = stars[slot].cursor;
    if (cursor != NONE) {
        int32_t source = lines[cursor].source;
        stars[slot].cursor = lines[cursor].next_inbound;
        bool within = stars[source].position >= side->bound;
        return visit(stars, side, mark_of_other_side, source, within, stars[source].inbound);
    }
    stars[slot].next = NONE;
    if (side->last == NONE) {
        side->found = slot;
    } else {
        stars[side->last].next = slot;
    }
    side->last = slot;
    side->count++;
    side->star = stars[slot].parent;
    return side->star == NONE ? HAS_ENDED : GOES_ON;
}

/* Reorder so that a line fits that points the wrong way. Whether it could be done: if not, nothing has changed. */
static bool
make_room(Order *self, int32_t source, int32_t target)
{
    if (source == target) {
        return false;
    }
    Star *stars = self->stars;
    const Line *lines = self->lines;
    uint32_t mark = next_mark(self);
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
    put_after(self, side == &behind ? source : stars[target].before, side->found, side->count);
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

/* Link the stars on the shortest ways that have been measured, those that are nearest to the start first; how many. */
static Py_ssize_t
link_ways(Star *stars, const Line *lines, uint32_t mark, int32_t start)
{
    Py_ssize_t count = 1;
    stars[start].mark = mark + 1;
    stars[start].next = NONE;
    int32_t last = start;
    for (int32_t slot = start; slot != NONE; slot = stars[slot].next) {
        for (int32_t line = stars[slot].outbound; line != NONE; line = lines[line].next_outbound) {
            int32_t target = lines[line].target;
            if (stars[target].mark == mark && stars[target].cursor == stars[slot].cursor - 1) {
                stars[target].mark = mark + 1;
                stars[target].next = NONE;
                stars[last].next = target;
                last = target;
                count++;
            }
        }
    }
    return count;
}

/* --- methods -------------------------------------------------------------------------------------------------- */

static PyObject *
order_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    if (PyTuple_Size(args) != 0 || (kwargs != NULL && PyDict_Size(kwargs) != 0)) {
        PyErr_SetString(PyExc_TypeError, "Order() takes no arguments");
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Order *self = (Order *)allocate(type, 0); /* filled with zeros */
    if (self == NULL) {
        return NULL;
    }
    self->stars = grown(NULL, sizeof(Star), 0, &self->star_room, MOST_STARS);
    self->lines = grown(NULL, sizeof(Line), 0, &self->line_room, MOST_LINES);
    if (self->stars == NULL || self->lines == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    memset(&self->stars[ENDS], 0, sizeof(Star));
    self->star_count = self->line_count = 1;
    return (PyObject *)self;
}

static void
order_dealloc(Order *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    PyMem_Free(self->stars);
    PyMem_Free(self->lines);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyObject *
order_iter(Order *self)
{
    PyObject *slots = PyList_New(0);
    if (slots == NULL) {
        return NULL;
    }
    const Star *stars = self->stars;
    for (int32_t slot = stars[ENDS].after; slot != ENDS; slot = stars[slot].after) {
        PyObject *number = PyLong_FromLong(slot);
        if (number == NULL || PyList_Append(slots, number) < 0) {
            Py_XDECREF(number);
            Py_DECREF(slots);
            return NULL;
        }
        Py_DECREF(number);
    }
    PyObject *iterator = PyObject_GetIter(slots);
    Py_DECREF(slots);
    return iterator;
}

static PyObject *
order_position(Order *self, PyObject *argument)
{
    int32_t slot;
    if (!find_slot(self, argument, &slot)) {
        return NULL;
    }
    return PyLong_FromLongLong(self->stars[slot].position);
}

static PyObject *
order_targets(Order *self, PyObject *argument)
{
    int32_t slot;
    PyObject *targets = PyList_New(0);
    if (targets == NULL || !find_slot(self, argument, &slot)) {
        Py_XDECREF(targets);
        return NULL;
    }
    for (int32_t line = self->stars[slot].outbound; line != NONE; line = self->lines[line].next_outbound) {
        PyObject *number = PyLong_FromLong(self->lines[line].target);
        if (number == NULL || PyList_Append(targets, number) < 0) {
            Py_XDECREF(number);
            Py_DECREF(targets);
            return NULL;
        }
        Py_DECREF(number);
    }
    return targets;
}

static PyObject *
order_append(Order *self, PyObject *Py_UNUSED(ignored))
{
    int32_t slot = self->free_star;
    if (slot == NONE) {
        Star *stars = grown(self->stars, sizeof(Star), self->star_count, &self->star_room, MOST_STARS);
        if (stars == NULL) {
            return NULL;
        }
        self->stars = stars;
        slot = self->star_count;
    }
    PyObject *number = PyLong_FromLong(slot);
    if (number == NULL) {
        return NULL;
    }
    Star *stars = self->stars;
    if (slot == self->star_count) {
        self->star_count++;
    } else {
        self->free_star = stars[slot].after;
    }
    memset(&stars[slot], 0, sizeof(Star));
    put_after(self, stars[ENDS].before, slot, 1);
    return number;
}

static PyObject *
order_remove(Order *self, PyObject *argument)
{
    int32_t slot;
    if (!find_slot(self, argument, &slot)) {
        return NULL;
    }
    Star *star = &self->stars[slot];
    if (star->outbound != NONE || star->inbound != NONE) {
        return PyErr_Format(PyExc_ValueError, "the star in slot %ld has lines", (long)slot);
    }
    unlink_star(self->stars, slot);
    star->before = FREE;
    star->after = self->free_star;
    self->free_star = slot;
    Py_RETURN_NONE;
}

static PyObject *
order_connect(Order *self, PyObject *const *arguments, Py_ssize_t count)
{
    int32_t source, target;
    if (!find_two_slots(self, arguments, count, &source, &target)) {
        return NULL;
    }
    int32_t number = self->free_line;
    if (number == NONE) {
        Line *lines = grown(self->lines, sizeof(Line), self->line_count, &self->line_room, MOST_LINES);
        if (lines == NULL) {
            return NULL;
        }
        self->lines = lines;
        number = self->line_count;
    }
    Star *stars = self->stars;
    if (stars[source].position >= stars[target].position && !make_room(self, source, target)) {
        Py_RETURN_FALSE;
    }
    Line *lines = self->lines, *line = &lines[number];
    if (number == self->line_count) {
        self->line_count++;
    } else {
        self->free_line = line->next_outbound;
    }
    *line = (Line){
        .source = source,
        .target = target,
        .next_outbound = stars[source].outbound,
        .next_inbound = stars[target].inbound,
    };
    if (line->next_outbound != NONE) {
        lines[line->next_outbound].previous_outbound = number;
    }
    if (line->next_inbound != NONE) {
        lines[line->next_inbound].previous_inbound = number;
    }
    stars[source].outbound = stars[target].inbound = number;
    Py_RETURN_TRUE;
}

/* A line, looked for at both its ends in turns: one of them may have very many; NONE if there is none. */
static int32_t
find_line(const Order *self, int32_t source, int32_t target)
{
    const Line *lines = self->lines;
    int32_t outbound = self->stars[source].outbound, inbound = self->stars[target].inbound;
    while (outbound != NONE && inbound != NONE) {
        if (lines[outbound].target == target) {
            return outbound;
        }
        if (lines[inbound].source == source) {
            return inbound;
        }
        outbound = lines[outbound].next_outbound;
        inbound = lines[inbound].next_inbound;
    }
    return NONE;
}

static PyObject *
order_disconnect(Order *self, PyObject *const *arguments, Py_ssize_t count)
{
    int32_t source, target;
    if (!find_two_slots(self, arguments, count, &source, &target)) {
        return NULL;
    }
    int32_t number = find_line(self, source, target);
    if (number == NONE) {
        return PyErr_Format(PyExc_KeyError, "there is no line from slot %ld to %ld", (long)source, (long)target);
    }
    Line *lines = self->lines, *line = &lines[number];
    if (line->previous_outbound != NONE) {
        lines[line->previous_outbound].next_outbound = line->next_outbound;
    } else {
        self->stars[source].outbound = line->next_outbound;
    }
    if (line->next_outbound != NONE) {
        lines[line->next_outbound].previous_outbound = line->previous_outbound;
    }
    if (line->previous_inbound != NONE) {
        lines[line->previous_inbound].next_inbound = line->next_inbound;
    } else {
        self->stars[target].inbound = line->next_inbound;
    }
    if (line->next_inbound != NONE) {
        lines[line->next_inbound].previous_inbound = line->previous_inbound;
    }
    line->next_outbound = self->free_line;
    self->free_line = number;
    Py_RETURN_NONE;
}

/* A list of sets from slots and how far each is from the start, which grows along them. */
static PyObject *
sets_by_distance(const int32_t *slots, const int32_t *distances, Py_ssize_t count)
{
    PyObject *sets = PyList_New(0), *set = NULL;
    for (Py_ssize_t index = 0; sets != NULL && index < count; index++) {
        if (index == 0 || distances[index] != distances[index - 1]) {
            Py_XDECREF(set);
            set = PySet_New(NULL);
            if (set == NULL || PyList_Append(sets, set) < 0) {
                Py_CLEAR(sets);
                break;
            }
        }
        PyObject *number = PyLong_FromLong(slots[index]);
        if (number == NULL || PySet_Add(set, number) < 0) {
            Py_CLEAR(sets);
        }
        Py_XDECREF(number);
    }
    Py_XDECREF(set);
    return sets;
}

static PyObject *
order_ways(Order *self, PyObject *const *arguments, Py_ssize_t count)
{
    int32_t start, end;
    if (!find_two_slots(self, arguments, count, &start, &end)) {
        return NULL;
    }
    Star *stars = self->stars;
    uint32_t mark = next_mark(self);
    if (!measure(stars, self->lines, mark, start, end)) {
        return PyList_New(0);
    }
    int32_t length = stars[start].cursor;
    Py_ssize_t found = link_ways(stars, self->lines, mark, start);
    int32_t *slots = PyMem_Malloc(2 * (size_t)found * sizeof(int32_t));
    if (slots == NULL) {
        return PyErr_NoMemory();
    }
    int32_t *distances = slots + found;
    Py_ssize_t index = 0;
    for (int32_t slot = start; slot != NONE; slot = stars[slot].next) {
        slots[index] = slot;
        distances[index++] = length - stars[slot].cursor;
    }
    PyObject *sets = sets_by_distance(slots, distances, found);
    PyMem_Free(slots);
    return sets;
}

static PyObject *
order_copy(Order *self, PyObject *Py_UNUSED(ignored))
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Order *made = (Order *)allocate(type, 0);
    if (made == NULL) {
        return NULL;
    }
    size_t stars = (size_t)self->star_count * sizeof(Star), lines = (size_t)self->line_count * sizeof(Line);
    made->stars = PyMem_Malloc(stars);
    made->lines = PyMem_Malloc(lines);
    if (made->stars == NULL || made->lines == NULL) {
        Py_DECREF(made);
        return PyErr_NoMemory();
    }
    memcpy(made->stars, self->stars, stars);
    memcpy(made->lines, self->lines, lines);
    made->star_count = made->star_room = self->star_count;
    made->line_count = made->line_room = self->line_count;
    made->free_star = self->free_star;
    made->free_line = self->free_line;
    made->mark = self->mark;
    return (PyObject *)made;
}

static PyMethodDef order_methods[] = {
    {"position", (PyCFunction)order_position, METH_O, NULL},
    {"targets", (PyCFunction)order_targets, METH_O, NULL},
    {"append", (PyCFunction)order_append, METH_NOARGS, NULL},
    {"remove", (PyCFunction)order_remove, METH_O, NULL},
    {"connect", (PyCFunction)(void (*)(void))order_connect, METH_FASTCALL, NULL},
    {"disconnect", (PyCFunction)(void (*)(void))order_disconnect, METH_FASTCALL, NULL},
    {"ways", (PyCFunction)(void (*)(void))order_ways, METH_FASTCALL, NULL},
    {"copy", (PyCFunction)order_copy, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot order_slots[] = {
    {Py_tp_doc, "A topological order of stars, by their slots; `PlainOrder` says what its methods do."},
    {Py_tp_new, order_new},
    {Py_tp_dealloc, order_dealloc},
    {Py_tp_iter, order_iter},
    {Py_tp_methods, order_methods},
    {0, NULL},
};

static PyType_Spec order_spec = {
    .name = "constellation.graph.compiled_order.Order",
    .basicsize = sizeof(Order),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = order_slots,
};

/* --- the module ----------------------------------------------------------------------------------------------- */

static int
module_exec(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &order_spec, NULL);
    if (type == NULL) {
        return -1;
    }
    int failed = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return failed;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "compiled_order",
    .m_doc = "The topological order of `constellation.graph.order`, compiled.",
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit_compiled_order(void)
{
    return PyModuleDef_Init(&module_definition);
}
