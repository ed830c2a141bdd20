/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SLAT_IOCTL_H
#define SLAT_IOCTL_H

#include <linux/fs.h>

struct slat_vcpu;

extern const struct file_operations slat_dev_fops;

/**
 * slat_vcpu_file() - an open file for a new vCPU
 * @vcpu:	the file's release lets go of its VM, which the caller must hold for it
 *
 * Return: the file, or ERR_PTR(-ENOMEM, -ENFILE).
 */
struct file *slat_vcpu_file(struct slat_vcpu *vcpu);

#endif
