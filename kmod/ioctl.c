// SPDX-License-Identifier: GPL-2.0-only
/*
 * The user interface: three kinds of file, a table of ioctls for each.  A handler
 * copies in, checks the form, and calls the layer that does the work.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <uapi/linux/slat.h>

#include "cap.h"
#include "ioctl.h"
#include "regs.h"
#include "slot.h"
#include "state.h"
#include "user.h"
#include "vcpu.h"

/* The device */

static const struct file_operations vm_fops;

/* KVM's types in the lower half, of which there is the default only. */
static const struct slat_table_ops *vm_format(unsigned long type)
{
	switch (type) {
	case 0:
		return slat_hw->table_ops;
	case SLAT_VM_EPT:
		return &ept_table_ops;
	case SLAT_VM_NPT:
		return &npt_table_ops;
	default:
		return NULL;
	}
}

static long create_vm(unsigned long type)
{
	const struct slat_table_ops *ops = vm_format(type);
	struct slat_vm *vm;
	int fd;

	if (!ops)
		return -EINVAL;
	vm = slat_vm_create(ops);
	if (IS_ERR(vm))
		return PTR_ERR(vm);
	fd = anon_inode_getfd("slat-vm", &vm_fops, vm, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		slat_vm_put(vm);
	return fd;
}

/* The head of an array of CPUID entries.  E2BIG as KVM gives it. */
static long copy_cpuid_head(struct kvm_cpuid2 *head, struct kvm_cpuid2 __user *user)
{
	return slat_copy_from_user(head, user, sizeof(*head)) ? -EFAULT : 0;
}

static long get_supported_cpuid(struct kvm_cpuid2 __user *user)
{
	struct kvm_cpuid_entry2 *entries;
	struct kvm_cpuid2 head;
	long ret = copy_cpuid_head(&head, user);

	if (ret)
		return ret;
	if (!head.nent)
		return -E2BIG;
	entries = kvcalloc(SLAT_CPUID_MAX, sizeof(*entries), GFP_KERNEL_ACCOUNT);
	if (!entries)
		return -ENOMEM;
	ret = slat_cpuid_supported(entries, min_t(u32, head.nent, SLAT_CPUID_MAX));
	if (ret < 0)
		goto out;
	head.nent = ret;
	ret = 0;
	if (slat_copy_to_user(user->entries, entries, head.nent * sizeof(*entries)) ||
	    slat_copy_to_user(user, &head, sizeof(head)))
		ret = -EFAULT;
out:
	kvfree(entries);
	return ret;
}

/* Padding that may get a meaning must be 0. */
static long check_cpuid_padding(const struct kvm_cpuid_entry2 __user *entries, u32 nent)
{
	struct kvm_cpuid_entry2 entry;
	u32 i;

	for (i = 0; i < nent; i++) {
		if (slat_copy_from_user(&entry, &entries[i], sizeof(entry)))
			return -EFAULT;
		if (memchr_inv(entry.padding, 0, sizeof(entry.padding)))
			return -EINVAL;
	}
	return 0;
}

/* What the CPU lacks, no guest can use: an empty list. */
static long get_emulated_cpuid(struct kvm_cpuid2 __user *user)
{
	struct kvm_cpuid2 head;
	long ret = copy_cpuid_head(&head, user);

	if (ret)
		return ret;
	if (!head.nent)
		return -E2BIG;
	ret = check_cpuid_padding(user->entries, min_t(u32, head.nent, SLAT_CPUID_MAX));
	if (ret)
		return ret;
	head.nent = 0;
	return slat_copy_to_user(user, &head, sizeof(head)) ? -EFAULT : 0;
}

static long dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct slat_msr_list msr_list;
	void __user *user = (void __user *)arg;

	switch (cmd) {
	case KVM_GET_API_VERSION:
		return arg ? -EINVAL : KVM_API_VERSION;
	case KVM_CREATE_VM:
		return create_vm(arg);
	case KVM_CHECK_EXTENSION:
		return slat_cap_check(arg);
	case KVM_GET_VCPU_MMAP_SIZE:
		return arg ? -EINVAL : 2 * PAGE_SIZE;
	case KVM_GET_SUPPORTED_CPUID:
		return get_supported_cpuid(user);
	case KVM_GET_EMULATED_CPUID:
		return get_emulated_cpuid(user);
	case KVM_GET_MSR_INDEX_LIST:
		msr_list = slat_msr_list();
		return slat_ioctl_msr_list(&msr_list, user);
	case KVM_GET_MSR_FEATURE_INDEX_LIST:
		return slat_ioctl_msr_list(&slat_msr_feature_list, user);
	case KVM_GET_MSRS:
		return slat_ioctl_msrs(NULL, user, false);
	case KVM_X86_GET_MCE_CAP_SUPPORTED:
		return slat_ioctl_mce_supported(user);
	default:
		return -ENOTTY;
	}
}

const struct file_operations slat_dev_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

/* VMs */

static long set_memory_region(struct slat_vm *vm, void __user *user)
{
	struct kvm_userspace_memory_region region;

	if (slat_copy_from_user(&region, user, sizeof(region)))
		return -EFAULT;
	return slat_slot_set(vm, &region);
}

static long vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct slat_vm *vm = file->private_data;

	if (vm->mm != current->mm)
		return -EIO;
	switch (cmd) {
	case KVM_CHECK_EXTENSION:
		return slat_cap_check(arg);
	case KVM_CREATE_VCPU:
		return arg > U32_MAX ? -EINVAL : slat_vcpu_create(vm, arg);
	case KVM_SET_USER_MEMORY_REGION:
		return set_memory_region(vm, (void __user *)arg);
	default:
		return _IOC_TYPE(cmd) == SLAT_IOCTL_TYPE ? slat_ioctl_slat(vm, cmd, arg) :
							   slat_ioctl_vm(vm, cmd, arg);
	}
}

static int vm_release(struct inode *inode, struct file *file)
{
	slat_vm_put(file->private_data);
	return 0;
}

static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.release = vm_release,
	.unlocked_ioctl = vm_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

/* vCPUs */

static long get_regs(struct slat_vcpu *vcpu, void __user *user)
{
	struct kvm_regs regs;

	slat_regs_get(vcpu, &regs);
	return slat_copy_to_user(user, &regs, sizeof(regs)) ? -EFAULT : 0;
}

static long set_regs(struct slat_vcpu *vcpu, void __user *user)
{
	struct kvm_regs regs;

	if (slat_copy_from_user(&regs, user, sizeof(regs)))
		return -EFAULT;
	slat_regs_set(vcpu, &regs);
	return 0;
}

static long get_sregs(struct slat_vcpu *vcpu, void __user *user)
{
	struct kvm_sregs sregs;

	slat_sregs_get(vcpu, &sregs);
	return slat_copy_to_user(user, &sregs, sizeof(sregs)) ? -EFAULT : 0;
}

static long set_sregs(struct slat_vcpu *vcpu, void __user *user)
{
	struct kvm_sregs sregs;

	if (slat_copy_from_user(&sregs, user, sizeof(sregs)))
		return -EFAULT;
	return slat_sregs_set(vcpu, &sregs);
}

static long get_fpu(struct slat_vcpu *vcpu, void __user *user)
{
	struct kvm_fpu fpu;

	slat_fpu_get(vcpu, &fpu);
	return slat_copy_to_user(user, &fpu, sizeof(fpu)) ? -EFAULT : 0;
}

static long set_fpu(struct slat_vcpu *vcpu, void __user *user)
{
	struct kvm_fpu fpu;

	if (slat_copy_from_user(&fpu, user, sizeof(fpu)))
		return -EFAULT;
	return slat_fpu_set(vcpu, &fpu);
}

/* As the guest sees them now, which is how a VMM has read them before. */
static bool cpuid_differs(struct slat_vcpu *vcpu, const struct kvm_cpuid_entry2 *entries, u32 nent)
{
	u32 i;

	if (nent != vcpu->nr_cpuid)
		return true;
	for (i = 0; i < nent; i++) {
		struct kvm_cpuid_entry2 was = vcpu->cpuid[i], is = entries[i];

		slat_cpuid_follow(vcpu, &was);
		slat_cpuid_follow(vcpu, &is);
		if (memcmp(&was, &is, sizeof(was)))
			return true;
	}
	return false;
}

/* A guest's CPU does not change under it: once it ran, only the same again is taken. */
static long set_cpuid(struct slat_vcpu *vcpu, struct kvm_cpuid2 __user *user)
{
	struct kvm_cpuid_entry2 *entries = NULL;
	struct kvm_cpuid2 head;
	long ret = copy_cpuid_head(&head, user);

	if (ret)
		return ret;
	if (head.nent > SLAT_CPUID_MAX)
		return -E2BIG;
	if (head.nent) {
		entries = slat_vmemdup_user(user->entries, head.nent * sizeof(*entries));
		if (IS_ERR(entries))
			return PTR_ERR(entries);
	}
	if (vcpu->has_run) {
		ret = cpuid_differs(vcpu, entries, head.nent) ? -EINVAL : 0;
		kvfree(entries);
		return ret;
	}
	kvfree(vcpu->cpuid);
	slat_cpuid_set(vcpu, entries, head.nent);
	slat_memtype_follow_mtrrs(vcpu);
	return 0;
}

static long get_cpuid(struct slat_vcpu *vcpu, struct kvm_cpuid2 __user *user)
{
	struct kvm_cpuid2 head;
	long ret = copy_cpuid_head(&head, user);
	u32 i;

	if (ret)
		return ret;
	if (head.nent < vcpu->nr_cpuid)
		return -E2BIG;
	head.nent = vcpu->nr_cpuid;
	for (i = 0; i < head.nent; i++) {
		struct kvm_cpuid_entry2 entry = vcpu->cpuid[i];

		slat_cpuid_follow(vcpu, &entry);
		if (slat_copy_to_user(&user->entries[i], &entry, sizeof(entry)))
			return -EFAULT;
	}
	return slat_copy_to_user(user, &head, sizeof(head)) ? -EFAULT : 0;
}

static long prefault(struct slat_vcpu *vcpu, void __user *user)
{
	struct kvm_pre_fault_memory range;
	long ret;

	if (slat_copy_from_user(&range, user, sizeof(range)))
		return -EFAULT;
	ret = slat_prefault(vcpu, &range);
	if (slat_copy_to_user(user, &range, sizeof(range)))
		return -EFAULT;
	return ret;
}

static long interrupt(struct slat_vcpu *vcpu, void __user *user)
{
	struct kvm_interrupt irq;

	if (slat_copy_from_user(&irq, user, sizeof(irq)))
		return -EFAULT;
	return irq.irq < KVM_NR_INTERRUPTS ? slat_inject_irq(vcpu, irq.irq) : -EINVAL;
}

/* Apart from KVM_RUN, which needs none of the room for structures. */
static noinline long other_vcpu_ioctl(struct slat_vcpu *vcpu, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;

	switch (cmd) {
	case KVM_GET_REGS:
		return get_regs(vcpu, user);
	case KVM_SET_REGS:
		return set_regs(vcpu, user);
	case KVM_GET_SREGS:
		return get_sregs(vcpu, user);
	case KVM_SET_SREGS:
		return set_sregs(vcpu, user);
	case KVM_GET_FPU:
		return get_fpu(vcpu, user);
	case KVM_SET_FPU:
		return set_fpu(vcpu, user);
	case KVM_GET_MSRS:
		return slat_ioctl_msrs(vcpu, user, false);
	case KVM_SET_MSRS:
		return slat_ioctl_msrs(vcpu, user, true);
	case KVM_X86_SETUP_MCE:
		return slat_ioctl_setup_mce(vcpu, user);
	case KVM_X86_SET_MCE:
		return slat_ioctl_set_mce(vcpu, user);
	case KVM_SET_CPUID2:
		return set_cpuid(vcpu, user);
	case KVM_PRE_FAULT_MEMORY:
		return prefault(vcpu, user);
	case KVM_INTERRUPT:
		return interrupt(vcpu, user);
	case KVM_NMI:
		slat_inject_nmi(vcpu);
		return 0;
	case KVM_GET_CPUID2:
		return get_cpuid(vcpu, user);
	default:
		return slat_ioctl_state(vcpu, cmd, arg);
	}
}

static long vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct slat_vcpu *vcpu = file->private_data;
	long ret;

	if (vcpu->vm->mm != current->mm)
		return -EIO;
	/* Without waiting for a vCPU that runs. */
	if (_IOC_TYPE(cmd) != KVMIO)
		return -ENOTTY;
	if (slat_mutex_lock_killable(&vcpu->mutex))
		return -EINTR;
	if (cmd == KVM_RUN)
		ret = arg ? -EINVAL : slat_vcpu_run(vcpu);
	else
		ret = other_vcpu_ioctl(vcpu, cmd, arg);
	slat_mutex_unlock(&vcpu->mutex);
	return ret;
}

static int vcpu_release(struct inode *inode, struct file *file)
{
	struct slat_vcpu *vcpu = file->private_data;

	slat_vm_put(vcpu->vm);
	return 0;
}

/* struct kvm_run first, then the data page of port accesses. */
static vm_fault_t vcpu_mmap_fault(struct vm_fault *vmf)
{
	struct slat_vcpu *vcpu = vmf->vma->vm_file->private_data;
	void *pages[] = { vcpu->run, vcpu->io_page };

	if (vmf->pgoff >= ARRAY_SIZE(pages))
		return VM_FAULT_SIGBUS;
	vmf->page = virt_to_page(pages[array_index_nospec(vmf->pgoff, ARRAY_SIZE(pages))]);
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct vcpu_vm_ops = {
	.fault = vcpu_mmap_fault,
};

static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &vcpu_vm_ops;
	return 0;
}

static const struct file_operations vcpu_fops = {
	.owner = THIS_MODULE,
	.release = vcpu_release,
	.unlocked_ioctl = vcpu_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = vcpu_mmap,
	.llseek = noop_llseek,
};

struct file *slat_vcpu_file(struct slat_vcpu *vcpu)
{
	return anon_inode_getfile("slat-vcpu", &vcpu_fops, vcpu, O_RDWR);
}
