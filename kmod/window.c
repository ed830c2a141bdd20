// SPDX-License-Identifier: GPL-2.0-only
/* Windows: guest memory that a device model maps, guarded as long as a file is open. */
#include <linux/anon_inodes.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "entry.h"
#include "user.h"
#include "vm.h"
#include "window.h"

/**
 * struct window - the file's
 * @vm:		held
 * @guard:	of all the pages
 * @nr:		of them
 * @pages:	pinned
 */
struct window {
	struct slat_vm *vm;
	struct slat_guard guard;
	unsigned long nr;
	struct page *pages[];
};

static void window_free(struct window *window)
{
	/* Whoever maps it may write at any time. */
	slat_gfn_unmap_range(&window->guard, window->pages, window->guard.access & SLAT_W);
	slat_user_access();
	account_locked_vm(window->vm->mm, window->nr, false);
	slat_vm_put(window->vm);
	kvfree(window);
}

static int window_release(struct inode *inode, struct file *file)
{
	window_free(file->private_data);
	return 0;
}

/* How many pages from @first on, of @max, have consecutive frames? */
static unsigned long run_length(struct page *const *first, unsigned long max)
{
	unsigned long nr = 1;

	while (nr < max && page_to_pfn(first[nr]) == page_to_pfn(first[0]) + nr)
		nr++;
	return nr;
}

/*
 * By frame: the pages' own mapping is the VMM's, if they have one still.  The file, which
 * the area holds, holds them.
 */
static int window_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct window *window = file->private_data;
	const unsigned long nr = vma_pages(vma);
	unsigned long i, run;
	int ret = 0;

	/* A private one would give copies. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_pgoff > window->nr || nr > window->nr - vma->vm_pgoff)
		return -ENXIO;
	for (i = 0; !ret && i < nr; i += run) {
		struct page **first = &window->pages[vma->vm_pgoff + i];

		run = run_length(first, nr - i);
		ret = remap_pfn_range(vma, vma->vm_start + (i << PAGE_SHIFT), page_to_pfn(*first),
				      run << PAGE_SHIFT, vma->vm_page_prot);
	}
	return ret;
}

static const struct file_operations window_fops = {
	.owner = THIS_MODULE,
	.release = window_release,
	.mmap = window_mmap,
	.llseek = noop_llseek,
};

static struct window *window_alloc(struct slat_vm *vm, u64 gfn, unsigned long nr, bool writable)
{
	struct window *window = kvzalloc(struct_size(window, pages, nr), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!window)
		return ERR_PTR(-ENOMEM);
	window->vm = vm;
	window->nr = nr;
	slat_user_access();
	ret = account_locked_vm(vm->mm, nr, true);
	if (ret)
		goto err_free;
	ret = slat_gfn_map_range(vm, gfn, nr, writable ? SLAT_R | SLAT_W : SLAT_R, &window->guard,
				 window->pages);
	if (ret)
		goto err_account;
	slat_vm_get(vm);
	return window;

err_account:
	account_locked_vm(vm->mm, nr, false);
err_free:
	kvfree(window);
	return ERR_PTR(ret);
}

int slat_window_create(struct slat_vm *vm, u64 gfn, unsigned long nr, bool writable)
{
	struct window *window = window_alloc(vm, gfn, nr, writable);
	int fd;

	if (IS_ERR(window))
		return PTR_ERR(window);
	/* Without the right to write, mmap() gives none, now or later. */
	fd = anon_inode_getfd("slat-window", &window_fops, window,
			      (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (fd < 0)
		window_free(window);
	return fd;
}
