// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stands in for a device's driver: lets user space map memory as drivers map their
 * devices' registers, without page structures that anybody could hold.
 */
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <asm/set_memory.h>

#include "slat_bar.h"

/* The last 64K below 4G hold the firmware, which reads well and ignores writes. */
#define ROM_PFN		0xffff0UL

static void *ram[BAR_ROM];

static unsigned long first_pfn(enum bar_area area)
{
	return area == BAR_ROM ? ROM_PFN : virt_to_phys(ram[area]) >> PAGE_SHIFT;
}

static enum bar_area area_of(const struct vm_area_struct *vma)
{
	return vma->vm_pgoff / BAR_PAGES % BAR_LAZY;
}

static bool is_lazy(const struct vm_area_struct *vma)
{
	return vma->vm_pgoff / BAR_PAGES >= BAR_LAZY;
}

static vm_fault_t bar_fault(struct vm_fault *vmf)
{
	const unsigned long n = (vmf->address - vmf->vma->vm_start) >> PAGE_SHIFT;

	return vmf_insert_pfn(vmf->vma, vmf->address, first_pfn(area_of(vmf->vma)) + n);
}

/* To be asked makes pages be entered read-only, whoever touches them how. */
static vm_fault_t bar_mkwrite(struct vm_fault *vmf)
{
	return 0;
}

static const struct vm_operations_struct lazy_ops = {
	.fault = bar_fault,
	.pfn_mkwrite = bar_mkwrite,
};

static pgprot_t prot_of(enum bar_area area, pgprot_t prot)
{
	switch (area) {
	case BAR_RAM_WC:
		return pgprot_writecombine(prot);
	case BAR_RAM_UC:
	case BAR_ROM:
		return pgprot_noncached(prot);
	default:
		return prot;
	}
}

static int bar_mmap(struct file *file, struct vm_area_struct *vma)
{
	const enum bar_area area = area_of(vma);
	const unsigned long size = vma->vm_end - vma->vm_start;

	if (area >= BAR_AREAS || vma->vm_pgoff >= 2 * BAR_LAZY * BAR_PAGES ||
	    vma->vm_pgoff % BAR_PAGES || size > BAR_PAGES * PAGE_SIZE)
		return -EINVAL;
	vma->vm_page_prot = prot_of(area, vma->vm_page_prot);
	if (is_lazy(vma))
		vma->vm_ops = &lazy_ops;
	return remap_pfn_range(vma, vma->vm_start, first_pfn(area),
			       is_lazy(vma) ? PAGE_SIZE : size, vma->vm_page_prot);
}

static bool is_untouched(struct folio *folio)
{
	return folio_ref_count(folio) == 1 && !folio_test_dirty(folio) &&
	       !folio_test_referenced(folio) && !folio_test_active(folio);
}

static long all_untouched(void)
{
	unsigned int area, n;

	for (area = 0; area < BAR_ROM; area++)
		for (n = 0; n < BAR_PAGES; n++)
			if (!is_untouched(virt_to_folio(ram[area] + n * PAGE_SIZE)))
				return 0;
	return 1;
}

static long bar_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case BAR_REVOKE:
		unmap_mapping_range(file->f_mapping, 0, 0, 1);
		return 0;
	case BAR_UNTOUCHED:
		return all_untouched();
	default:
		return -ENOTTY;
	}
}

static const struct file_operations bar_fops = {
	.owner = THIS_MODULE,
	.mmap = bar_mmap,
	.unlocked_ioctl = bar_ioctl,
};

static struct miscdevice bar = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "slat_bar",
	.fops = &bar_fops,
};

static void free_ram(void)
{
	unsigned int area;

	for (area = 0; area < BAR_ROM; area++) {
		if (!ram[area])
			continue;
		set_memory_wb((unsigned long)ram[area], BAR_PAGES);
		free_pages_exact(ram[area], BAR_PAGES * PAGE_SIZE);
	}
}

static int alloc_ram(void)
{
	unsigned int area;

	for (area = 0; area < BAR_ROM; area++) {
		ram[area] = alloc_pages_exact(BAR_PAGES * PAGE_SIZE, GFP_KERNEL | __GFP_ZERO);
		if (!ram[area])
			return -ENOMEM;
	}
	return set_memory_uc((unsigned long)ram[BAR_RAM_UC], BAR_PAGES) ?:
	       set_memory_wc((unsigned long)ram[BAR_RAM_WC], BAR_PAGES);
}

static int __init bar_init(void)
{
	int ret = alloc_ram();

	if (!ret)
		ret = misc_register(&bar);
	if (ret)
		free_ram();
	return ret;
}

static void __exit bar_exit(void)
{
	misc_deregister(&bar);
	free_ram();
}

module_init(bar_init);
module_exit(bar_exit);

MODULE_DESCRIPTION("A device's memory, for slat's tests");
MODULE_LICENSE("GPL");
