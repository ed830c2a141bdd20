/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A tree of the real code, the simulated hardware over it, and the flat model
 * beside it.  Every operation is done on both and compared; a difference aborts.
 */
#ifndef SLAT_UNIT_RIG_H
#define SLAT_UNIT_RIG_H

#include "model.h"
#include "hardware.h"
#include "tables.h"

#define RIG_FRAMES	24

/*
 * Entries that one call of zap or harvest may look at, and leaves that it may clear: at 25
 * and 125 instructions each, about 100,000.
 */
#define RIG_ZAP_READS_MAX	4000
#define RIG_ZAP_LEAVES_MAX	700

/*
 * A format, both as the code has it and as the hardware does.
 *
 * @rights:	all that a leaf can have
 */
struct rig_format {
	const struct slat_table_ops *ops;
	const struct hw_format *hw;
	unsigned int rights[5];
	unsigned int nr_rights;
};

extern const struct rig_format rig_npt, rig_ept;

/* Variants of a fixture: both formats, trees of 4 and of 5 levels. */
#define RIG_VARIANTS(fixture)						\
FIXTURE_VARIANT(fixture)						\
{									\
	const struct rig_format *format;				\
	unsigned int levels;						\
};									\
FIXTURE_VARIANT_ADD(fixture, npt4) { .format = &rig_npt, .levels = 4 };	\
FIXTURE_VARIANT_ADD(fixture, npt5) { .format = &rig_npt, .levels = 5 };	\
FIXTURE_VARIANT_ADD(fixture, ept4) { .format = &rig_ept, .levels = 4 };	\
FIXTURE_VARIANT_ADD(fixture, ept5) { .format = &rig_ept, .levels = 5 };

/* How often a frame got A and D. */
struct rig_tally {
	unsigned int accessed;
	unsigned int dirty;
};

/* Of all frames and leaves: sums of what their numbers are scrambled to. */
struct rig_sum {
	u64 accessed;
	u64 dirty;
	u64 logged;
};

/*
 * @returned:	A and D that the host's pages got, by frame of interest
 * @owed:	what they should have got
 * @returned_sum: by all frames, and what the dirty logs got, by all leaves
 * @owed_sum:	and what they should have got
 * @between:	called between two batches of a zap or harvest, unless NULL
 * @storm:	state of the random generator behind rig_storm(); 0: no interference
 */
struct rig {
	const struct rig_format *format;
	struct slat_mmu mmu;
	struct slat_root root;
	struct slat_cache cache;
	struct hw hw;
	struct model model;
	struct rig_tally returned[RIG_FRAMES];
	struct rig_tally owed[RIG_FRAMES];
	struct rig_sum returned_sum;
	struct rig_sum owed_sum;
	void (*between)(struct rig *rig);
	u64 between_word;
	u64 storm;
};

/* One rig at a time. */
struct rig *rig_new(const struct rig_format *format, unsigned int levels);

/* Empties the tree, checks that nothing is left, frees. */
void rig_free(struct rig *rig);

/* From now on exchanges fail and meet A and D bits, at random. */
void rig_storm(struct rig *rig, u64 seed);

/* Frames of interest, for small leaves: one for each gfn of interest. */
u64 rig_frame(unsigned int n);

/* The frame that a gfn has if large leaves are to be possible; n: another such. */
u64 rig_large_frame(u64 gfn, unsigned int n);

/* What a format makes of a type: the one that is read back. */
unsigned int rig_type(const struct rig *rig, unsigned int type);

/* Index of a gfn of interest. */
unsigned int rig_index(const struct rig *rig, u64 gfn);

/* One call of the code, no comparison: WB, of any gfn, valid or not. */
int rig_try_any(struct rig *rig, u64 gfn, u64 pfn, unsigned int level, unsigned int rights);

/* The same for a gfn of interest and a 4K leaf, with the cache as it is. */
int rig_try_map(struct rig *rig, unsigned int i, u64 frame, unsigned int rights);

/* The same for another vCPU, whose cache it is, with the lock held. */
int rig_map_locked(struct rig *rig, struct slat_cache *cache, unsigned int i, u64 frame,
		   unsigned int rights);

/* A call that did not succeed may have added tables and split leaves: note them. */
void rig_note_tables(struct rig *rig, unsigned int i);

/* Returns what the code did. */
int rig_map_as(struct rig *rig, unsigned int i, const struct model_map *map);

/* A 4K leaf, WB. */
void rig_map(struct rig *rig, unsigned int i, u64 frame, unsigned int rights);

/* With that many tables in the cache, which must not suffice. */
void rig_map_short(struct rig *rig, unsigned int i, const struct model_map *map,
		   unsigned int tables);

/* Pages from a gfn of interest on, those with a bit in the mask. */
int rig_map_run(struct rig *rig, unsigned int i, unsigned int nr, u64 mask,
		const struct model_map *map);

/* Returns whether it was granted. */
bool rig_access(struct rig *rig, unsigned int i, unsigned int kind);

bool rig_age(struct rig *rig, u64 first, u64 last, bool clear);

/* Returns the number of batches. */
unsigned int rig_zap(struct rig *rig, u64 first, u64 last, bool prune);

/* Returns the number of batches. */
unsigned int rig_harvest(struct rig *rig, u64 first, u64 last);

/* Compare every gfn of interest, and the counters. */
void rig_check(struct rig *rig);

/* Compare every entry of every table. */
void rig_scan(struct rig *rig);

/* An operation that the bits of a word describe, then rig_check(). */
void rig_step(struct rig *rig, u64 word);

u64 rig_random(u64 *state);

#endif
