/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SLAT_IOCTL_H
#define SLAT_IOCTL_H

#include <linux/fs.h>
#include <linux/kvm.h>

struct slat_msr_list;
struct slat_vcpu;
struct slat_vm;

extern const struct file_operations slat_dev_fops;

/**
 * slat_vcpu_file() - an open file for a new vCPU
 * @vcpu:	the file's release lets go of its VM, which the caller must hold for it
 *
 * Return: the file, or ERR_PTR(-ENOMEM, -ENFILE).
 */
struct file *slat_vcpu_file(struct slat_vcpu *vcpu);

/**
 * slat_ioctl_vm() - the VM's ioctls that prepare it
 * Return: 0, or an errno; -ENOTTY: not one of them.
 */
long slat_ioctl_vm(struct slat_vm *vm, unsigned int cmd, unsigned long arg);

/**
 * slat_ioctl_slat() - the VM's ioctls that KVM does not have
 * Return: 0, or an errno; -ENOTTY: not one of them.
 */
long slat_ioctl_slat(struct slat_vm *vm, unsigned int cmd, unsigned long arg);

/* ioctl_msr.c: handlers of ioctls; all return 0, or as said, or an errno. */

/**
 * slat_ioctl_msrs() - KVM_GET_MSRS and KVM_SET_MSRS
 * @vcpu:	NULL to read those that tell of the host
 *
 * Return: how many MSRs were read or written.
 */
long slat_ioctl_msrs(struct slat_vcpu *vcpu, struct kvm_msrs __user *user, bool write);

/** slat_ioctl_msr_list() - KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST */
long slat_ioctl_msr_list(const struct slat_msr_list *list, struct kvm_msr_list __user *user);

/** slat_ioctl_msr_filter() - KVM_X86_SET_MSR_FILTER */
long slat_ioctl_msr_filter(struct slat_vm *vm, const void __user *user);

/** slat_ioctl_mce_supported() - KVM_X86_GET_MCE_CAP_SUPPORTED */
long slat_ioctl_mce_supported(u64 __user *user);

/** slat_ioctl_setup_mce() - KVM_X86_SETUP_MCE */
long slat_ioctl_setup_mce(struct slat_vcpu *vcpu, const u64 __user *user);

/** slat_ioctl_set_mce() - KVM_X86_SET_MCE */
long slat_ioctl_set_mce(struct slat_vcpu *vcpu, const void __user *user);

#endif
