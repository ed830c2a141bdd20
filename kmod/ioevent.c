// SPDX-License-Identifier: GPL-2.0-only
/* Doorbells: the guest's writes to them do not wait for the VMM. */
#include <linux/err.h>
#include <linux/eventfd.h>
#include <linux/kvm.h>
#include <linux/rculist.h>
#include <linux/slab.h>

#include "compat.h"
#include "ioevent.h"
#include "vm.h"

#define FLAGS	(KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_PIO | \
		 KVM_IOEVENTFD_FLAG_DEASSIGN)

/**
 * struct ioevent - one doorbell
 * @link:	in vm->ioevents, read under RCU
 * @fd:		what is signalled
 * @pio:	@addr is a port
 * @any_value:	whatever is written
 * @len:	bytes of a write, 0: any
 * @addr:	where
 * @value:	unless @any_value
 */
struct ioevent {
	struct list_head link;
	struct eventfd_ctx *fd;
	bool pio;
	bool any_value;
	u32 len;
	u64 addr;
	u64 value;
};

static bool args_valid(const struct kvm_ioeventfd *args)
{
	if (args->flags & ~FLAGS)
		return false;
	switch (args->len) {
	case 0:
		return !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH);
	case 1:
	case 2:
	case 4:
	case 8:
		return args->addr + args->len >= args->addr;
	default:
		return false;
	}
}

static void init(struct ioevent *event, const struct kvm_ioeventfd *args)
{
	event->pio = args->flags & KVM_IOEVENTFD_FLAG_PIO;
	event->any_value = !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH);
	event->len = args->len;
	event->addr = args->addr;
	event->value = event->any_value ? 0 : args->datamatch;
}

/* Is there a write that would be for both? */
static bool collide(const struct ioevent *a, const struct ioevent *b)
{
	if (a->pio != b->pio || a->addr != b->addr)
		return false;
	if (!a->len || !b->len)
		return true;
	return a->len == b->len && (a->any_value || b->any_value || a->value == b->value);
}

static bool equal(const struct ioevent *a, const struct ioevent *b)
{
	return a->fd == b->fd && a->pio == b->pio && a->addr == b->addr && a->len == b->len &&
	       a->any_value == b->any_value && a->value == b->value;
}

/* Under vm->lock. */
static int add(struct slat_vm *vm, struct ioevent *event)
{
	const struct ioevent *other;

	if (vm->nr_ioevents == SLAT_IOEVENTS_MAX)
		return -ENOSPC;
	list_for_each_entry(other, &vm->ioevents, link)
		if (collide(other, event))
			return -EEXIST;
	list_add_tail_rcu(&event->link, &vm->ioevents);
	vm->nr_ioevents++;
	return 0;
}

static int assign(struct slat_vm *vm, const struct kvm_ioeventfd *args, struct eventfd_ctx *fd)
{
	struct ioevent *event = kzalloc(sizeof(*event), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!event)
		return -ENOMEM;
	init(event, args);
	event->fd = fd;
	slat_mutex_lock(&vm->lock);
	ret = add(vm, event);
	slat_mutex_unlock(&vm->lock);
	if (ret)
		kfree(event);
	return ret;
}

static struct ioevent *take(struct slat_vm *vm, const struct ioevent *wanted)
{
	struct ioevent *event;

	list_for_each_entry(event, &vm->ioevents, link) {
		if (!equal(event, wanted))
			continue;
		list_del_rcu(&event->link);
		vm->nr_ioevents--;
		return event;
	}
	return NULL;
}

static int deassign(struct slat_vm *vm, const struct kvm_ioeventfd *args, struct eventfd_ctx *fd)
{
	struct ioevent wanted = { .fd = fd }, *event;

	init(&wanted, args);
	slat_mutex_lock(&vm->lock);
	event = take(vm, &wanted);
	slat_mutex_unlock(&vm->lock);
	if (!event)
		return -ENOENT;
	/* A guest may be about to signal it. */
	synchronize_rcu();
	eventfd_ctx_put(event->fd);
	kfree(event);
	return 0;
}

int slat_ioevent_set(struct slat_vm *vm, const struct kvm_ioeventfd *args)
{
	struct eventfd_ctx *fd;
	int ret;

	if (!args_valid(args))
		return -EINVAL;
	fd = eventfd_ctx_fdget(args->fd);
	if (IS_ERR(fd))
		return PTR_ERR(fd);
	if (args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN) {
		ret = deassign(vm, args, fd);
		eventfd_ctx_put(fd);
		return ret;
	}
	ret = assign(vm, args, fd);
	if (ret)
		eventfd_ctx_put(fd);
	return ret;
}

static bool matches(const struct ioevent *event, bool pio, u64 addr, unsigned int len, u64 value)
{
	if (event->pio != pio || event->addr != addr)
		return false;
	return !event->len ||
	       (event->len == len && (event->any_value || event->value == value));
}

static noinline bool signal_match(struct slat_vm *vm, bool pio, u64 addr, unsigned int len,
				 u64 value)
{
	const struct ioevent *event;
	bool found = false;

	rcu_read_lock();
	list_for_each_entry_rcu(event, &vm->ioevents, link) {
		if (!matches(event, pio, addr, len, value))
			continue;
		slat_eventfd_signal(event->fd);
		found = true;
		break;
	}
	rcu_read_unlock();
	return found;
}

bool slat_ioevent_write(struct slat_vm *vm, bool pio, u64 addr, unsigned int len, u64 value)
{
	/* Every OUT comes by here. */
	return !list_empty(&vm->ioevents) && signal_match(vm, pio, addr, len, value);
}

void slat_ioevents_free(struct slat_vm *vm)
{
	struct ioevent *event, *next;

	list_for_each_entry_safe(event, next, &vm->ioevents, link) {
		eventfd_ctx_put(event->fd);
		kfree(event);
	}
}
