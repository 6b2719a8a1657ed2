/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One walk of the guest's page tables. The tables are followed first, each entry judged by itself (present, reserved
 * bits); then the rights that all of them leave are held against the access; then, if asked for, accessed and dirty
 * bits are set by compare-and-swap, and a lost race starts the walk over.
 */
#include "core/mem/paging_bits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef unsigned long long ull;

/* A guest that keeps changing an entry under the walk gets its access without A/D after so many tries. */
#define RETRIES_MAX 64

void paging_from_regs(struct paging *pg, const struct regs *r)
{
	memset(pg, 0, sizeof(*pg));
	pg->cr0 = r->cr0;
	pg->cr3 = r->cr3;
	pg->cr4 = r->cr4;
	pg->efer = r->efer;
	pg->ac = (r->rflags & RFLAGS_AC) != 0;
	pg->maxphyaddr = 52;
	pg->gbpages = true;
	if (!(r->cr0 & CR0_PG))
		pg->mode = PAGING_NONE;
	else if (!(r->cr4 & CR4_PAE))
		pg->mode = PAGING_32BIT;
	else if (!(r->efer & (EFER_LMA | EFER_LME)))
		pg->mode = PAGING_PAE;
	else
		pg->mode = r->cr4 & CR4_LA57 ? PAGING_5LEVEL : PAGING_4LEVEL;
	pg->pdpte_valid = pg->mode == PAGING_PAE && r->pdpte_valid;
	memcpy(pg->pdpte, r->pdpte, sizeof(pg->pdpte));
}

const char *paging_mode_name(enum paging_mode m)
{
	static const char *const name[] = {[PAGING_NONE] = "none",
					   [PAGING_32BIT] = "32-bit",
					   [PAGING_PAE] = "PAE",
					   [PAGING_4LEVEL] = "4-level",
					   [PAGING_5LEVEL] = "5-level"};

	return (size_t)m < ARRAY_LEN(name) ? name[m] : "unknown";
}

bool paging_canonical(const struct paging *pg, uint64_t gva)
{
	return paging_sign_extend(pg, gva) == gva;
}

/* The error code's bits that say what kind of access it was. */
static uint32_t access_code(const struct paging *pg, unsigned access)
{
	uint32_t code = 0;

	if (access & ACCESS_WRITE)
		code |= PFERR_WRITE;
	if (access & ACCESS_USER)
		code |= PFERR_USER;
	if ((access & ACCESS_FETCH) && ((pg->cr4 & CR4_SMEP) || ((pg->cr4 & CR4_PAE) && (pg->efer & EFER_NXE))))
		code |= PFERR_FETCH;
	return code;
}

static void page_fault(const struct paging *pg, struct walk *w, uint64_t gva, unsigned access, uint32_t code)
{
	w->fault = (struct guest_fault){
	    .present = true, .vector = 14, .has_error = true, .error_code = code | access_code(pg, access), .address = gva};
}

static void general_protection(const struct paging *pg, struct walk *w, uint64_t gva)
{
	w->fault = (struct guest_fault){.present = true, .vector = 13, .has_error = true, .address = gva};
	if (paging_long(pg))
		snprintf(w->why, sizeof(w->why), "gva %#llx is not canonical: bits 63 to %u are not all the same", (ull)gva,
			 paging_linear_bits(pg) - 1);
	else
		snprintf(w->why, sizeof(w->why), "gva %#llx lies past 4 GiB, where linear addresses end in this mode",
			 (ull)gva);
}

/* 0 or -ENODATA. */
static int read_entry(const struct paging *pg, const struct paging_mem *mem, struct walk_step *s, unsigned index)
{
	uint64_t entry = 0;
	int rc;

	if (paging_is_pdpte(pg, s->level) && pg->pdpte_valid) {
		s->entry = pg->pdpte[index];
		s->is_register = true;
		return 0;
	}
	rc = mem->read(mem->ctx, s->gpa, s->size, &entry);
	if (rc == -ENODATA)
		return rc;
	if (rc) {
		s->no_memory = true;
		entry = ~0ull;
	}
	s->entry = s->size == 4 ? (uint32_t)entry : entry;
	return 0;
}

static void cannot_read(const struct paging *pg, struct walk *w, const struct walk_step *s, uint64_t gva, unsigned access)
{
	page_fault(pg, w, gva, access, 0);
	w->unreadable = true;
	snprintf(w->why, sizeof(w->why), "the level %u entry at gpa %#llx cannot be read now", s->level, (ull)s->gpa);
}

static void why_entry(struct walk *w, const struct walk_step *s, const char *what, uint64_t bits)
{
	int n = snprintf(w->why, sizeof(w->why), "level %u entry %#llx at gpa %#llx %s", s->level, (ull)s->entry,
			 (ull)s->gpa, what);

	if (bits && n > 0 && (size_t)n < sizeof(w->why))
		n += snprintf(w->why + n, sizeof(w->why) - (size_t)n, " %#llx", (ull)bits);
	if (s->no_memory && n > 0 && (size_t)n < sizeof(w->why))
		snprintf(w->why + n, sizeof(w->why) - (size_t)n, " (no memory there: it reads as all ones)");
}

/* Is this entry one that a walk can go on with? */
static bool judge_entry(const struct paging *pg, struct walk *w, const struct walk_step *s, uint64_t gva, unsigned access)
{
	bool leaf = paging_is_leaf(pg, s->level, s->entry);
	uint64_t bad;

	if (!(s->entry & PTE_P)) {
		page_fault(pg, w, gva, access, 0);
		why_entry(w, s, "is not present", 0);
		return false;
	}
	bad = s->entry & paging_reserved(pg, s->level, leaf);
	if (bad) {
		page_fault(pg, w, gva, access, PFERR_PRESENT | PFERR_RSVD);
		why_entry(w, s, "has reserved bits", bad);
		return false;
	}
	return true;
}

/* Follow the tables down to a leaf; false with w->fault if that ends early. */
static bool follow_tables(const struct paging *pg, const struct paging_mem *mem, uint64_t gva, unsigned access,
			  struct walk *w)
{
	uint64_t table = paging_root(pg);

	w->rights = RIGHTS_ALL;
	for (unsigned level = paging_top(pg);; level--) {
		unsigned index = (gva >> paging_shift(pg, level)) & (paging_entries(pg, level) - 1);
		struct walk_step *s = &w->step[w->n++];

		s->level = level;
		s->size = paging_entry_size(pg);
		s->gpa = table + (uint64_t)index * s->size;
		if (read_entry(pg, mem, s, index)) {
			cannot_read(pg, w, s, gva, access);
			return false;
		}
		if (!judge_entry(pg, w, s, gva, access))
			return false;
		w->rights &= paging_rights(pg, level, s->entry);
		if (paging_is_leaf(pg, level, s->entry)) {
			w->leaf = s->entry;
			return true;
		}
		table = s->entry & (pg->mode == PAGING_32BIT ? 0xfffff000 : PTE_ADDRESS);
	}
}

/* Name the first layer whose entry takes a right away. */
static void name_refusing_entry(const struct paging *pg, struct walk *w, uint8_t right, const char *what)
{
	const struct walk_step *s = &w->step[w->n - 1];

	for (unsigned i = 0; i < w->n; i++)
		if (!(paging_rights(pg, w->step[i].level, w->step[i].entry) & right)) {
			s = &w->step[i];
			break;
		}
	why_entry(w, s, what, 0);
}

/* Protection keys: what the key of a user page refuses of data accesses. */
static bool key_refuses(const struct paging *pg, const struct walk *w, unsigned access)
{
	unsigned key = (unsigned)(w->leaf >> 59) & 15;
	unsigned bits = pg->pkru >> (2 * key) & 3;

	if (!paging_long(pg) || !(pg->cr4 & CR4_PKE) || !(w->rights & ACCESS_USER) || (access & ACCESS_FETCH))
		return false;
	if (bits & 1)
		return true;
	return (bits & 2) && (access & ACCESS_WRITE) && ((access & ACCESS_USER) || (pg->cr0 & CR0_WP));
}

static bool user_refused(const struct paging *pg, struct walk *w, unsigned access)
{
	if (!(w->rights & ACCESS_USER))
		name_refusing_entry(pg, w, ACCESS_USER, "is a supervisor's (U is clear)");
	else if ((access & ACCESS_WRITE) && !(w->rights & ACCESS_WRITE))
		name_refusing_entry(pg, w, ACCESS_WRITE, "is not writable (W is clear)");
	else if ((access & ACCESS_FETCH) && !(w->rights & ACCESS_FETCH))
		name_refusing_entry(pg, w, ACCESS_FETCH, "is not executable (NX is set)");
	else
		return false;
	return true;
}

static bool supervisor_refused(const struct paging *pg, struct walk *w, unsigned access)
{
	bool user_page = (w->rights & ACCESS_USER) != 0;
	const struct walk_step *leaf = &w->step[w->n - 1];

	if (access & ACCESS_FETCH) {
		if (user_page && (pg->cr4 & CR4_SMEP))
			why_entry(w, leaf, "is a user page, which SMEP keeps the supervisor from executing", 0);
		else if (!(w->rights & ACCESS_FETCH))
			name_refusing_entry(pg, w, ACCESS_FETCH, "is not executable (NX is set)");
		else
			return false;
		return true;
	}
	if (user_page && (pg->cr4 & CR4_SMAP) && (!pg->ac || (access & ACCESS_IMPLICIT)))
		why_entry(w, leaf, "is a user page, which SMAP keeps the supervisor from", 0);
	else if ((access & ACCESS_WRITE) && !(w->rights & ACCESS_WRITE) && (pg->cr0 & CR0_WP))
		name_refusing_entry(pg, w, ACCESS_WRITE, "is not writable (W is clear) and CR0.WP is set");
	else
		return false;
	return true;
}

static bool rights_refuse(const struct paging *pg, struct walk *w, uint64_t gva, unsigned access)
{
	bool rights = access & ACCESS_USER ? user_refused(pg, w, access) : supervisor_refused(pg, w, access);
	bool key = key_refuses(pg, w, access);

	if (!rights && !key)
		return false;
	if (!rights)
		why_entry(w, &w->step[w->n - 1], "has a protection key that PKRU refuses", 0);
	page_fault(pg, w, gva, access, PFERR_PRESENT | (key ? PFERR_PK : 0));
	return true;
}

/* Set A and D from the top down. False if an entry changed meanwhile: walk again. */
static bool set_accessed_dirty(const struct paging *pg, const struct paging_mem *mem, unsigned access, struct walk *w)
{
	for (unsigned i = 0; i < w->n; i++) {
		struct walk_step *s = &w->step[i];
		uint64_t want = s->entry | PTE_A;
		int rc;

		if (paging_is_pdpte(pg, s->level) || s->no_memory)
			continue;
		if (i == w->n - 1 && (access & ACCESS_WRITE))
			want |= PTE_D;
		if (want == s->entry)
			continue;
		rc = mem->update(mem->ctx, s->gpa, s->size, s->entry, want);
		if (rc == 1)
			return false;
		if (rc) /* tables in ROM keep their bits as they are */
			continue;
		s->set_a = !(s->entry & PTE_A);
		s->set_d = (want & ~s->entry & PTE_D) != 0;
		s->entry = want;
	}
	w->leaf = w->step[w->n - 1].entry;
	return true;
}

static void set_translation(const struct paging *pg, uint64_t gva, struct walk *w)
{
	unsigned level = w->step[w->n - 1].level;

	w->page_size = 1ull << paging_shift(pg, level);
	w->gpa = paging_leaf_address(pg, level, w->leaf) | (gva & (w->page_size - 1));
	w->global = (w->leaf & PTE_G) && (pg->cr4 & CR4_PGE);
}

static void walk_none(uint64_t gva, struct walk *w)
{
	w->gpa = gva;
	w->page_size = PAGE_SIZE_4K;
	w->rights = RIGHTS_ALL;
}

/* The address that L2's tables give goes through L1's as well. A fault there is not L2's to have: it leaves for L1. */
static void go_through_nested(const struct paging_mem *mem, unsigned access, struct walk *w)
{
	struct walk on;

	if (!mem->nested)
		return;
	mem->nested(mem->ctx, w->gpa, access, &on);
	w->nested = true;
	w->l2_gpa = w->gpa;
	w->gpa = on.gpa;
	if (on.page_size < w->page_size)
		w->page_size = on.page_size;
	w->rights &= on.rights | ACCESS_USER;
	if (!on.fault.present)
		return;
	w->gpa = w->page_size = w->rights = 0;
	w->fault = on.fault;
	w->unreadable = true;
	snprintf(w->why, sizeof(w->why), "L1's nested tables refuse L2 gpa %#llx: %.100s", (ull)w->l2_gpa, on.why);
}

void paging_walk(const struct paging *pg, const struct paging_mem *mem, uint64_t gva, unsigned access, bool set_ad,
		 struct walk *out)
{
	for (unsigned tries = 0;; tries++) {
		memset(out, 0, sizeof(*out));
		if (!paging_canonical(pg, gva)) {
			general_protection(pg, out, gva);
			return;
		}
		if (pg->mode == PAGING_NONE) {
			walk_none(gva, out);
			go_through_nested(mem, access, out);
			return;
		}
		if (!follow_tables(pg, mem, gva, access, out) || rights_refuse(pg, out, gva, access))
			return;
		if (!set_ad || !mem->update || tries == RETRIES_MAX || set_accessed_dirty(pg, mem, access, out))
			break;
	}
	set_translation(pg, gva, out);
	go_through_nested(mem, access, out);
}
