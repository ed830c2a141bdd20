/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * B2, B3: set_entry(), the only way an entry changes: what it counts, passes on, refuses.
 * For a file that includes one format's code and says what its A, D and PRESENT
 * bits are.
 */

#define FRAME	0x1234
#define AT	7

static struct {
	unsigned int calls;
	u64 pfn;
	bool accessed;
	bool dirty;
} returned;

static void on_return(u64 pfn, bool accessed, bool dirty)
{
	returned.calls++;
	returned.pfn = pfn;
	returned.accessed = accessed;
	returned.dirty = dirty;
}

FIXTURE(entry)
{
	struct slat_mmu mmu;
	struct slat_table *table;
};

FIXTURE_SETUP(entry)
{
	memset(&self->mmu, 0, sizeof(self->mmu));
	rwlock_init(&self->mmu.lock);
	write_lock(&self->mmu.lock);
	tables_on_return = on_return;
	self->table = slat_table_alloc(fmt(empty)());
	self->table->level = 1;
}

FIXTURE_TEARDOWN(entry)
{
	EXPECT_EQ(0, shim_warnings);
	slat_table_free(self->table);
}

/* Put @old there without ado, then change it. */
static int change(struct slat_mmu *mmu, struct slat_table *table, u64 old, u64 new)
{
	table->entry[AT] = old;
	return set_entry(mmu, table, AT, old, new);
}

static u64 leaf(unsigned int rights)
{
	return fmt(make_leaf)(FRAME, 1, rights, SLAT_MT_WB);
}

TEST_F(entry, new_leaf_counts)
{
	EXPECT_EQ(0, change(&self->mmu, self->table, fmt(empty)(), leaf(SLAT_RWX)));
	EXPECT_EQ(leaf(SLAT_RWX), self->table->entry[AT]);
	EXPECT_EQ(1, atomic_read(&self->table->live));
	EXPECT_EQ(1, tables_leaves(&self->mmu));
	EXPECT_EQ(0, self->mmu.cut_gen);
	EXPECT_EQ(0, returned.calls);
}

TEST_F(entry, cleared_leaf_counts_and_returns_its_bits)
{
	unsigned int n;

	for (n = 0; n < 4; n++) {
		const u64 ad = (n & 1 ? A : 0) | (n & 2 ? D : 0);

		EXPECT_EQ(0, change(&self->mmu, self->table, leaf(SLAT_RWX) | ad, fmt(empty)()));
		EXPECT_EQ(fmt(empty)(), self->table->entry[AT]);
		EXPECT_EQ(-1 - (int)n, atomic_read(&self->table->live));
		EXPECT_EQ(-1 - (long)n, tables_leaves(&self->mmu));
		EXPECT_EQ(1 + n, self->mmu.cut_gen);
		EXPECT_EQ(1 + n, returned.calls);
		EXPECT_EQ(FRAME, returned.pfn);
		EXPECT_EQ(!!(n & 1), returned.accessed);
		EXPECT_EQ(!!(n & 2), returned.dirty);
	}
}

/* M7: nobody's page to give bits to. */
TEST_F(entry, cleared_leaf_without_page_returns_nothing)
{
	const u64 old = fmt(make_leaf)(FRAME, 1, SLAT_RWX, SLAT_MT_WB | SLAT_MT_NO_PAGE);

	returned.calls = 0;
	ASSERT_EQ(0, change(&self->mmu, self->table, old | A | D, fmt(empty)()));
	EXPECT_EQ(0, returned.calls);
	EXPECT_EQ(1, self->mmu.cut_gen);
}

/* From any rights to any: a cut if and only if one of them is lost. */
TEST_F(entry, cut_is_a_lost_right)
{
	unsigned int n;

	for (n = 0; n < 16; n++) {
		const unsigned int old = SLAT_R | (n & 3) << 1, new = SLAT_R | (n >> 2) << 1;
		const u64 cut_gen = self->mmu.cut_gen;

		EXPECT_EQ(0, change(&self->mmu, self->table, leaf(old), leaf(new)));
		EXPECT_EQ(!!(old & ~new), self->mmu.cut_gen != cut_gen);
		EXPECT_LE(cut_gen, self->mmu.cut_gen);
	}
	EXPECT_EQ(0, atomic_read(&self->table->live));
	EXPECT_EQ(0, tables_leaves(&self->mmu));
	EXPECT_EQ(0, returned.calls);
}

TEST_F(entry, table_entries_are_no_leaves)
{
	self->table->level = 2;
	EXPECT_EQ(0, change(&self->mmu, self->table, fmt(empty)(), fmt(make_table)(FRAME)));
	EXPECT_EQ(1, atomic_read(&self->table->live));
	EXPECT_EQ(0, self->mmu.cut_gen);
	EXPECT_EQ(0, change(&self->mmu, self->table, fmt(make_table)(FRAME), fmt(empty)()));
	EXPECT_EQ(0, atomic_read(&self->table->live));
	EXPECT_EQ(1, self->mmu.cut_gen);
	EXPECT_EQ(0, tables_leaves(&self->mmu));
	EXPECT_EQ(0, returned.calls);
}

TEST_F(entry, large_leaves_count_as_leaves)
{
	unsigned int level;

	for (level = 2; level <= 3; level++) {
		const u64 large = fmt(make_leaf)(0x40000, level, SLAT_RWX, SLAT_MT_WB);

		self->table->level = level;
		EXPECT_EQ(0, change(&self->mmu, self->table, fmt(empty)(), large));
		EXPECT_EQ(1, atomic_long_read(&self->mmu.leaves[level - 1]));
		EXPECT_EQ(1, tables_leaves(&self->mmu));
		EXPECT_EQ(0, change(&self->mmu, self->table, large | D, fmt(empty)()));
		EXPECT_EQ(0, tables_leaves(&self->mmu));
		EXPECT_EQ(level - 1, returned.calls);
		EXPECT_TRUE(returned.dirty);
	}
}

/* As an entry that was never used and whose junk is cleared. */
TEST_F(entry, nothing_to_nothing_is_no_cut)
{
	EXPECT_EQ(0, change(&self->mmu, self->table, leaf(SLAT_RWX) & ~PRESENT, fmt(empty)()));
	EXPECT_EQ(fmt(empty)(), self->table->entry[AT]);
	EXPECT_EQ(0, atomic_read(&self->table->live));
	EXPECT_EQ(0, tables_leaves(&self->mmu));
	EXPECT_EQ(0, self->mmu.cut_gen);
	EXPECT_EQ(0, returned.calls);
}

TEST_F(entry, changed_entry_is_left_alone)
{
	self->table->entry[AT] = leaf(SLAT_RWX) | D;
	EXPECT_EQ(-EAGAIN, set_entry(&self->mmu, self->table, AT, leaf(SLAT_RWX), fmt(empty)()));
	EXPECT_EQ(leaf(SLAT_RWX) | D, self->table->entry[AT]);
	EXPECT_EQ(0, atomic_read(&self->table->live));
	EXPECT_EQ(0, tables_leaves(&self->mmu));
	EXPECT_EQ(0, self->mmu.cut_gen);
	EXPECT_EQ(0, returned.calls);
}

TEST_F(entry, frame_change_is_refused_loudly)
{
	const u64 other = fmt(make_leaf)(FRAME + 1, 1, SLAT_RWX, SLAT_MT_WB);

	EXPECT_EQ(-EAGAIN, change(&self->mmu, self->table, leaf(SLAT_RWX), other));
	EXPECT_EQ(1, shim_warnings);
	EXPECT_EQ(leaf(SLAT_RWX), self->table->entry[AT]);
	EXPECT_EQ(0, self->mmu.cut_gen);
	EXPECT_EQ(0, returned.calls);
	shim_warnings = 0;
}

TEST_F(entry, type_change_is_refused_loudly)
{
	const u64 other = fmt(make_leaf)(FRAME, 1, SLAT_RWX, SLAT_MT_WP);

	EXPECT_EQ(-EAGAIN, change(&self->mmu, self->table, leaf(SLAT_RWX), other));
	EXPECT_EQ(1, shim_warnings);
	EXPECT_EQ(leaf(SLAT_RWX), self->table->entry[AT]);
	shim_warnings = 0;
}

/* Between a 2M leaf and a table whose leaves are the leaf's parts, but for one. */

#define LARGE_FRAME	0x123400

static u64 part(unsigned int n)
{
	return fmt(make_leaf)(LARGE_FRAME + n, 1, SLAT_R | SLAT_W, SLAT_MT_WB) | A;
}

static u64 whole(void)
{
	return fmt(make_leaf)(LARGE_FRAME, 2, SLAT_R | SLAT_W, SLAT_MT_WB) | A;
}

static struct slat_table *parts(unsigned int odd, u64 entry)
{
	struct slat_table *child = slat_table_alloc(fmt(empty)());
	unsigned int n;

	for (n = 0; n < SLAT_ENTRIES; n++)
		child->entry[n] = n == odd ? entry : part(n);
	return child;
}

TEST_F(entry, split_is_no_cut_and_returns_nothing)
{
	struct slat_table *child = parts(SLAT_ENTRIES, 0);
	const u64 table = fmt(make_table)(slat_table_pfn(child));

	self->table->level = 2;
	atomic_long_set(&self->mmu.leaves[1], 1);
	EXPECT_EQ(0, change(&self->mmu, self->table, whole(), table));
	EXPECT_EQ(table, self->table->entry[AT]);
	EXPECT_EQ(0, atomic_long_read(&self->mmu.leaves[1]));
	EXPECT_EQ(1, atomic_long_read(&self->mmu.tables));
	EXPECT_EQ(0, atomic_read(&self->table->live));
	EXPECT_EQ(0, self->mmu.cut_gen);
	EXPECT_EQ(0, returned.calls);
	slat_table_free(child);
}

TEST_F(entry, split_into_anything_else_is_refused_loudly)
{
	const u64 odd[] = {
		fmt(empty)(), part(1), part(0) & ~A, part(0) | D,
		fmt(make_leaf)(LARGE_FRAME, 1, SLAT_RWX, SLAT_MT_WB) | A,
		fmt(make_leaf)(LARGE_FRAME, 1, SLAT_R, SLAT_MT_WB) | A,
		fmt(make_leaf)(LARGE_FRAME, 1, SLAT_R | SLAT_W, SLAT_MT_UC) | A,
	};
	unsigned int n;

	self->table->level = 2;
	for (n = 0; n < 2 * sizeof(odd) / sizeof(odd[0]); n++) {
		struct slat_table *child = parts(n & 1 ? SLAT_ENTRIES - 1 : 0, odd[n / 2]);

		shim_warnings = 0;
		EXPECT_EQ(-EAGAIN, change(&self->mmu, self->table, whole(),
					  fmt(make_table)(slat_table_pfn(child))));
		EXPECT_EQ(1, shim_warnings);
		EXPECT_EQ(whole(), self->table->entry[AT]);
		slat_table_free(child);
	}
	shim_warnings = 0;
}

/* Merging takes a flush in between, even if frames agree. */
TEST_F(entry, merge_in_place_is_refused_loudly)
{
	const u64 table = fmt(make_table)(LARGE_FRAME);

	self->table->level = 2;
	EXPECT_EQ(-EAGAIN, change(&self->mmu, self->table, table, whole()));
	EXPECT_EQ(1, shim_warnings);
	EXPECT_EQ(table, self->table->entry[AT]);
	shim_warnings = 0;
}

TEST_F(entry, cut_without_the_lock_for_write_is_loud)
{
	write_unlock(&self->mmu.lock);
	read_lock(&self->mmu.lock);
	EXPECT_EQ(0, change(&self->mmu, self->table, leaf(SLAT_R), leaf(SLAT_RWX)));
	EXPECT_EQ(0, shim_warnings);
	EXPECT_EQ(0, change(&self->mmu, self->table, leaf(SLAT_RWX), leaf(SLAT_R)));
	EXPECT_EQ(1, shim_warnings);
	shim_warnings = 0;
}

TEST_HARNESS_MAIN
