/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Memory slots: ranges of guest physical memory, their flags, who sees them, and the rules for changing them.
 *
 * The table is the debugger's own record for both backends. It follows KVM's memslots: an array by descending base, a
 * last-hit hint before a binary search, the hint moved on success only; `found` told apart from `visible`. What is seen
 * inside SMM and what outside are two such arrays, because slots overlap between them only. A slot is a segment of the
 * machine's memory: an alias, or a callback that reads it. Rules and errnos: docs/SLOTS.md.
 */
#ifndef KVMSCOPE_CORE_MEM_MEMSLOT_H
#define KVMSCOPE_CORE_MEM_MEMSLOT_H

#include "core/base/err.h"

enum slot_flag {
	SLOT_LOG_DIRTY = 1 << 0, /* as KVM_MEM_LOG_DIRTY_PAGES */
	SLOT_READONLY = 1 << 1,	 /* as KVM_MEM_READONLY */
	SLOT_SMRAM = 1 << 24,	 /* a name for SLOT_VIS_SMM: set exactly when that is */
};
#define SLOT_FLAGS_ALL (SLOT_LOG_DIRTY | SLOT_READONLY | SLOT_SMRAM)

enum slot_vis { SLOT_VIS_BOTH = 3, SLOT_VIS_NONSMM = 1, SLOT_VIS_SMM = 2 }; /* two bits: seen outside, seen inside SMM */

#define SLOT_MAX_PAGES 0x7fffffffull

struct slot {
	uint32_t id;
	uint64_t serial; /* never the same twice: tells a slot from a later one of the same id */
	enum slot_vis vis;
	uint64_t gpa, size; /* bytes, page aligned */
	uint32_t flags;	    /* enum slot_flag */
	bool own;	    /* kept by the debugger for itself: hidden from listings */
	bool invalid;	    /* an INVALID copy during delete or move */
	bool file_backed;   /* alias maps a file PROT_READ: the debugger cannot write it */
	int fd;		    /* file_backed: read by pread() from here, since a file cut short under a mapping is a SIGBUS;
			     * -1: through the alias all the same */
	uint64_t fd_offset; /* of gpa's first byte in fd */
	bool huge;	    /* 2 MiB backing asked for */
	bool guest_memfd;   /* its memory is the kernel's own file for guests, mapped here */
	int memfd;	    /* then: which descriptor that is, from its first byte on; else -1 */
	uint64_t hva;	    /* the guest's view: what KVM was told; on soft the alias */
	uint8_t *alias;	    /* the debugger's view: never faults into userfaultfd; NULL: read by fill */
	/* Reads [gpa, gpa + len) of this slot if it has no alias. -ENODATA: some of it cannot be read now; e->addr is the
	 * first gpa of that. */
	int (*fill)(const struct slot *s, uint64_t gpa, void *buf, size_t len, struct err *e);
	void *fill_ctx;
	uint64_t *dirty[2]; /* bitmaps outside and inside SMM, one bit a page; NULL if not logged */
	/* Told of each page that slot_mark_dirty() is called for, marked before or not; NULL: nobody asks. */
	void (*dirtied)(void *ctx, const struct slot *s, uint64_t page, bool smm);
	void *dirtied_ctx;
	void *backing; /* the backend's own: file descriptors and mappings */
	void *mmu;     /* the shadow MMU's own: reverse map heads (core/mem/shadow) */
};

/* What a backend allows; the defaults are those of a current x86 KVM. */
struct slot_limits {
	uint32_t max_slots;	 /* ids are below this; default 32764 */
	uint64_t max_pages;	 /* of one slot; default SLOT_MAX_PAGES */
	uint64_t gpa_limit;	 /* first address past physical memory, 1 << maxphyaddr; default 1 << 52 */
	unsigned address_spaces; /* 1 or 2; default 1 */
	uint64_t hva_limit;	 /* first address past user space; default 0x7ffffffff000 */
};

/* Slots that are seen from one side, inside SMM or outside: they never overlap. */
struct slot_view {
	struct slot **by_gfn; /* descending gpa */
	uint64_t *base;	      /* their gpas, … */
	uint64_t *size;	      /* … and sizes, so that a search touches no slot at all */
	size_t n, last_hit;
	/* Where a search begins: for each of 1 << SLOT_HINT_BITS equal parts of the address range, the first slot that
	 * begins at or below the part's end. Made anew by the first search after a change. */
	uint32_t *hint;
	unsigned hint_shift;
	bool hint_stale;
};
#define SLOT_HINT_BITS 14
#define SLOT_HINT_FROM 64 /* slots; fewer need no hints */

struct slot_table {
	struct slot **by_gfn;	  /* n pointers, descending gpa; equal gpa: non-SMM first */
	struct slot **by_id;	  /* the same slots, ascending id */
	struct slot_view view[2]; /* outside and inside SMM */
	size_t n, cap;
	uint64_t generation; /* bit 63 set while an update is under way */
	struct slot_limits limits;
};

#define SLOT_GENERATION_UPDATE (1ull << 63)

/* A zeroed struct slot_table is an empty one too, once its limits are filled. */
void slot_table_init(struct slot_table *t);
void slot_limits_default(struct slot_limits *l); /* fill what is 0 */
void slot_table_deinit(struct slot_table *t);	 /* frees slots and bitmaps, not backing */

/* What somebody asks for. size 0 deletes. vis 0: as the slot has it, for a new one as SLOT_SMRAM says (smm or both). */
struct slot_spec {
	uint32_t id;
	enum slot_vis vis;
	uint64_t gpa, size;
	uint32_t flags;
	const char *file; /* back it with this file, NULL for fresh memory */
	bool huge;
	bool guest_memfd;
	bool overcommit; /* free memory of the host is not looked at */
	bool own;
	int (*poll)(void *unused); /* asked while memory is made, negative to give up; NULL: nobody interrupts */
	uint64_t hva;		   /* checked for alignment and range if non-zero; normally 0: the backend picks */
};

/* A slot as asked for, without memory (fd -1, no alias, no bitmaps); NULL if there is no memory. free() undoes it before it
 * is in a table; slot_free() drops its bitmaps too. */
struct slot *slot_new(const struct slot_spec *spec);
void slot_free(struct slot *s);

enum slot_change_kind { SLOT_CREATE, SLOT_DELETE, SLOT_MOVE, SLOT_FLAGS, SLOT_NOTHING };

struct slot_change {
	enum slot_change_kind kind;
	struct slot *old; /* NULL for create */
	struct slot_spec to;
};

/* Check a request by KVM's rules in KVM's order and say what kind of change it is. 0, or the errno KVM would give, in
 * words: -EINVAL, -EEXIST. Changes nothing. READONLY flipped on an existing slot is -EINVAL here; slot_flip_needed()
 * tells callers that a delete and a create will do it. */
int slot_check(const struct slot_table *t, const struct slot_spec *to, struct slot_change *out, struct err *e) MUST_USE;
bool slot_flip_needed(const struct slot *old, uint32_t new_flags);
/* Fill *e with "WHAT ID: there is no slot ID", and which there are. Returns code. */
int slot_missing(const struct slot_table *t, int code, const char *what, uint32_t id, struct err *e);

/* Put a slot in, take it out. The table owns it after insert; remove gives it back to the caller. The generation rises as
 * the kernel's does: slot_table_begin()/end() bracket a change and set and clear bit 63. */
int slot_table_insert(struct slot_table *t, struct slot *s, struct err *e) MUST_USE;
struct slot *slot_table_remove(struct slot_table *t, struct slot *s);
void slot_table_begin(struct slot_table *t);
void slot_table_end(struct slot_table *t, unsigned bumps);
/* After s->gpa changed: put it where it belongs now. */
void slot_table_resort(struct slot_table *t);

/* Lookup. `found` is the slot that covers gpa whatever its visibility (preferring the visible one); the return value is it
 * only if it is visible from (smm), else NULL. Either out pointer may be NULL. */
struct slot *slot_lookup(struct slot_table *t, uint64_t gpa, bool smm, struct slot **found);
struct slot *slot_by_id(const struct slot_table *t, uint32_t id);
/* The slot whose memory has this host virtual address, or NULL. */
struct slot *slot_by_hva(const struct slot_table *t, uint64_t hva);
static inline bool slot_visible(const struct slot *s, bool smm)
{
	return (s->vis & (smm ? SLOT_VIS_SMM : SLOT_VIS_NONSMM)) != 0;
}
static inline bool slot_contains(const struct slot *s, uint64_t gpa)
{
	return gpa - s->gpa < s->size;
}

/* The byte at gpa, to be read and written where it is. NULL: it is read by slot_read() only, and not written: a file, which
 * may be cut short under its mapping, or a slot without an alias. */
static inline uint8_t *slot_in_place(const struct slot *s, uint64_t gpa)
{
	return s->alias && !s->file_backed ? s->alias + (gpa - s->gpa) : NULL;
}
/* Bytes of one slot, in place or not. The range lies in the slot. -EIO: its file was cut short; -ENODATA: as fill. */
int slot_read(const struct slot *s, uint64_t gpa, void *buf, size_t len, struct err *e) MUST_USE;

/* Open spec->file for a slot of spec->size: a regular file that is long enough but for its last page's end. What a guest
 * does never reaches it, so it is opened for reading only. The caller closes *fd. Errors: open()'s, -EINVAL. */
int slot_file_open(const struct slot_spec *spec, int *fd, struct err *e) MUST_USE;

/* Dirty logging: start allocates zeroed bitmaps (one for each visibility the slot has), stop drops them. */
int slot_log_start(struct slot *s, struct err *e) MUST_USE;
void slot_log_stop(struct slot *s);
void slot_mark_dirty(struct slot *s, uint64_t gpa, uint64_t len, bool smm);

/* Copy between a buffer and guest physical memory as seen from (smm), across slots. All or nothing: the whole range is
 * looked up first. Errors: -EFAULT (address in no visible slot), -EROFS (write to a file, or to a slot without an alias).
 * Writes go to READONLY slots too: this is the debugger's own access, not the guest's. -EIO: a slot's file was cut short;
 * -ENODATA: its memory cannot be read now, from gpa e->addr on; buf is then undefined. */
int slots_probe(struct slot_table *t, uint64_t gpa, bool smm, size_t len, bool write,
		struct err *e) MUST_USE; /* only look */
int slots_read(struct slot_table *t, uint64_t gpa, bool smm, void *buf, size_t len, struct err *e) MUST_USE;
int slots_write(struct slot_table *t, uint64_t gpa, bool smm, const void *buf, size_t len, struct err *e) MUST_USE;

const char *slot_vis_name(enum slot_vis v); /* "smm", "non-smm", "both" */
int slot_vis_parse(const char *s, enum slot_vis *out, struct err *e) MUST_USE;
int slot_flag_parse(const char *s, uint32_t *out, struct err *e) MUST_USE; /* readonly, log-dirty (log), smram */

#endif
