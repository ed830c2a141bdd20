// SPDX-License-Identifier: GPL-2.0-only
/* Views over the nested tables; so far the base view only. */
#include <linux/sched.h>

#include "view.h"
#include "vm.h"

int slat_view_init(struct slat_view *view, struct slat_vm *vm)
{
	struct slat_table *table = slat_table_alloc(vm->mmu.ops->empty());

	if (!table)
		return -ENOMEM;
	table->level = vm->mmu.levels;
	view->vm = vm;
	view->root.table = table;
	atomic_long_inc(&vm->mmu.tables);
	return 0;
}

void slat_view_destroy(struct slat_view *view)
{
	WARN_ON_ONCE(atomic_read(&view->root.table->live));
	slat_table_free(view->root.table);
	atomic_long_dec(&view->vm->mmu.tables);
}

int slat_view_map(struct slat_view *view, const struct slat_map *map)
{
	struct slat_mmu *mmu = &view->vm->mmu;

	return mmu->ops->map(mmu, &view->root, map);
}

int slat_view_map_run(struct slat_view *view, const struct slat_run *run)
{
	struct slat_mmu *mmu = &view->vm->mmu;

	return mmu->ops->map_run(mmu, &view->root, run);
}

bool slat_view_age(struct slat_view *view, u64 first, u64 last, bool clear)
{
	struct slat_mmu *mmu = &view->vm->mmu;
	bool young;

	slat_read_lock(&mmu->lock);
	young = mmu->ops->age(mmu, &view->root, first, last, clear);
	slat_read_unlock(&mmu->lock);
	return young;
}

void slat_view_harvest(struct slat_view *view, u64 first, u64 last)
{
	struct slat_harvest harvest = { .last = last, .next = first };
	struct slat_mmu *mmu = &view->vm->mmu;
	int ret;

	do {
		slat_write_lock(&mmu->lock);
		ret = mmu->ops->harvest(mmu, &view->root, &harvest);
		slat_write_unlock(&mmu->lock);
		slat_may_sleep();
		cond_resched();
	} while (ret == -EAGAIN);
}

void slat_view_read(struct slat_view *view, u64 gfn, struct slat_leaf *leaf)
{
	struct slat_mmu *mmu = &view->vm->mmu;

	slat_read_lock(&mmu->lock);
	mmu->ops->read(&view->root, gfn, leaf);
	slat_read_unlock(&mmu->lock);
}

void slat_view_zap(struct slat_view *view, u64 first, u64 last, bool prune, bool may_sleep,
		   struct slat_gather *gather)
{
	struct slat_mmu *mmu = &view->vm->mmu;
	struct slat_zap zap = { .first = first, .last = last, .next = first, .prune = prune };
	int ret;

	do {
		slat_write_lock(&mmu->lock);
		ret = mmu->ops->zap(mmu, &view->root, &zap, gather);
		slat_write_unlock(&mmu->lock);
		if (ret == -EAGAIN && may_sleep) {
			slat_may_sleep();
			cond_resched();
		}
	} while (ret == -EAGAIN);
}
