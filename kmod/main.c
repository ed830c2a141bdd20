// SPDX-License-Identifier: GPL-2.0-only
/* The module, the device, and when the CPUs' virtualization is on. */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/panic_notifier.h>
#include <linux/percpu.h>
#include <linux/reboot.h>
#include <linux/syscore_ops.h>

#include "debugfs.h"
#include "fault.h"
#include "flush_check.h"
#include "hw.h"
#include "ioctl.h"
#include "locks.h"

const struct slat_hw *slat_hw;
unsigned int slat_hw_levels;
unsigned int slat_hw_leaf_levels;
unsigned int slat_hw_types;
bool slat_nested;

/*
 * Virtualization is switched on, on every CPU, for the first VM and off after the
 * last.  hw_users is written with the CPU hotplug lock held for read, and looked at
 * by the hotplug callbacks, which hold it for write.  rebooting is written under
 * hw_lock, and looked at by the callbacks, too.
 */
static DEFINE_SLAT_MUTEX(hw_lock, SLAT_LOCK_HW);
static unsigned int hw_users;
static bool rebooting;
DEFINE_PER_CPU(bool, slat_hw_on);
static int hotplug_state;

static int nx_large = -1;
module_param(nx_large, int, 0444);
MODULE_PARM_DESC(nx_large, "large leaves are not executable: 1 yes, 0 no, -1 where the CPU needs it");

module_param_named(nested, slat_nested, bool, 0444);
MODULE_PARM_DESC(nested, "guests may be hypervisors themselves (SVM only; default: no)");

/* On this CPU, interrupts off. */
static int enable_here(void)
{
	int ret;

	if (__this_cpu_read(slat_hw_on))
		return 0;
	ret = slat_hw->cpu_enable();
	if (!ret)
		__this_cpu_write(slat_hw_on, true);
	return ret;
}

static void disable_here(void *unused)
{
	if (!__this_cpu_read(slat_hw_on))
		return;
	__this_cpu_write(slat_hw_on, false);
	slat_hw->cpu_disable();
}

static void enable_or_note(void *failed)
{
	if (enable_here())
		atomic_inc(failed);
}

static int enable_all(void)
{
	atomic_t failed = ATOMIC_INIT(0);

	on_each_cpu(enable_or_note, &failed, 1);
	if (!atomic_read(&failed))
		return 0;
	/* Only where we switched it on ourselves. */
	on_each_cpu(disable_here, NULL, 1);
	return -EBUSY;
}

int slat_hw_get(void)
{
	int ret = 0;

	cpus_read_lock();
	slat_mutex_lock(&hw_lock);
	if (rebooting)
		ret = -EBUSY;
	else if (!hw_users)
		ret = enable_all();
	if (!ret)
		hw_users++;
	slat_mutex_unlock(&hw_lock);
	cpus_read_unlock();
	return ret;
}

void slat_hw_put(void)
{
	cpus_read_lock();
	slat_mutex_lock(&hw_lock);
	if (!--hw_users)
		on_each_cpu(disable_here, NULL, 1);
	slat_mutex_unlock(&hw_lock);
	cpus_read_unlock();
}

/* On the CPU that comes or goes, which runs no user task then. */

static int cpu_comes(unsigned int cpu)
{
	int ret = 0;

	/* With interrupts off, so that reboot()'s call to this CPU comes before or after. */
	local_irq_disable();
	if (hw_users && !READ_ONCE(rebooting))
		ret = enable_here();
	local_irq_enable();
	if (ret)
		pr_err("slat: CPU %u stays offline: somebody else holds its %s\n", cpu,
		       slat_hw->name);
	return ret;
}

static int cpu_goes(unsigned int cpu)
{
	local_irq_disable();
	disable_here(NULL);
	local_irq_enable();
	return 0;
}

/* Suspend: the last CPU, interrupts off; the others went offline. */

static int suspend(void)
{
	disable_here(NULL);
	return 0;
}

static void resume(void)
{
	if (hw_users && enable_here())
		pr_err("slat: %s was taken during suspend: VMs stop\n", slat_hw->name);
}

static struct syscore_ops syscore_ops = {
	.suspend = suspend,
	.resume = resume,
};

/* Firmware and the next kernel expect virtualization to be off. */
static int reboot(struct notifier_block *nb, unsigned long action, void *unused)
{
	slat_mutex_lock(&hw_lock);
	WRITE_ONCE(rebooting, true);
	slat_mutex_unlock(&hw_lock);
	on_each_cpu(disable_here, NULL, 1);
	return NOTIFY_OK;
}

static struct notifier_block reboot_nb = { .notifier_call = reboot };

/* Only this CPU: the others are being stopped. */
static int panicking(struct notifier_block *nb, unsigned long action, void *unused)
{
	disable_here(NULL);
	return NOTIFY_DONE;
}

static struct notifier_block panic_nb = { .notifier_call = panicking };

static struct miscdevice slat_dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "slat",
	.fops = &slat_dev_fops,
	.mode = 0660,
};

/*
 * Some CPUs lock up when they fetch from a large page whose size is changed behind
 * their back, which a guest could bring about (CVE-2018-12207).
 */
static bool want_nx_large(void)
{
	if (nx_large >= 0)
		return nx_large;
	return boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT) && !cpu_mitigations_off();
}

static int __init slat_init(void)
{
	int ret;

	slat_locks_init();
	slat_hw = boot_cpu_has(X86_FEATURE_VMX) ? &slat_vmx : &slat_svm;
	if (slat_nested && !slat_hw->virt) {
		pr_err("slat: nested=1 takes SVM\n");
		return -EOPNOTSUPP;
	}
	ret = slat_hw->setup();
	if (ret)
		return ret;
	slat_nx_large = want_nx_large();

	ret = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "slat:online", cpu_comes, cpu_goes);
	if (ret < 0)
		goto err_teardown;
	hotplug_state = ret;
	register_syscore_ops(&syscore_ops);
	register_reboot_notifier(&reboot_nb);
	atomic_notifier_chain_register(&panic_notifier_list, &panic_nb);
	slat_debugfs_create();
	slat_locks_debugfs();
	slat_flush_debugfs();

	ret = misc_register(&slat_dev);
	if (ret)
		goto err_debugfs;
	pr_info("slat: %s, nested tables of %u levels\n", slat_hw->name, slat_hw_levels);
	return 0;

err_debugfs:
	slat_debugfs_remove();
	atomic_notifier_chain_unregister(&panic_notifier_list, &panic_nb);
	unregister_reboot_notifier(&reboot_nb);
	unregister_syscore_ops(&syscore_ops);
	cpuhp_remove_state(hotplug_state);
err_teardown:
	slat_hw->teardown();
	return ret;
}

static void __exit slat_exit(void)
{
	misc_deregister(&slat_dev);
	slat_debugfs_remove();
	atomic_notifier_chain_unregister(&panic_notifier_list, &panic_nb);
	unregister_reboot_notifier(&reboot_nb);
	unregister_syscore_ops(&syscore_ops);
	cpuhp_remove_state(hotplug_state);
	slat_hw->teardown();
}

module_init(slat_init);
module_exit(slat_exit);

MODULE_DESCRIPTION("Nested-paging backend for virtual machine monitors");
MODULE_LICENSE("GPL");
