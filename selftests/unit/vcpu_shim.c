// SPDX-License-Identifier: GPL-2.0-only
#include <assert.h>
#include <linux/uaccess.h>

#include "entry.h"
#include "ioevent.h"
#include "vcpu_shim.h"

unsigned int shim_lost_races;

u64 shim_random(void)
{
	static u64 state = 88172645463325252;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state >> 3;
}

struct slat_slot *slat_slot_find(struct slat_vm *vm, u64 gfn)
{
	unsigned int i;

	for (i = 0; i < SHIM_SLOTS; i++)
		if (gfn - vm->slot[i].gfn < vm->slot[i].npages)
			return &vm->slot[i];
	return NULL;
}

unsigned int shim_claims;

int slat_vcpu_map(struct slat_vcpu *vcpu, u64 gfn, unsigned int access, void **host)
{
	const struct slat_slot *slot = slat_slot_find(vcpu->vm, gfn);

	if (!slot)
		return -ENOENT;
	if ((access & SLAT_W) && (slot->flags & KVM_MEM_READONLY))
		return -EROFS;
	if (shim_claims) {
		shim_claims--;
		return -EAGAIN;
	}
	assert(vcpu->vm->slots_srcu && vcpu->nr_guards < SLAT_VCPU_GUARDS);
	vcpu->nr_guards++;
	*host = (void *)slat_slot_hva(slot, gfn);
	return 0;
}

u64 shim_marked[16];
unsigned int shim_nr_marked;

void slat_vcpu_mark(struct slat_vcpu *vcpu, u64 gfn)
{
	assert(vcpu->vm->slots_srcu && vcpu->nr_guards);
	shim_marked[shim_nr_marked++ % 16] = gfn;
}

void slat_vcpu_unmap(struct slat_vcpu *vcpu)
{
	assert(vcpu->nr_guards);
	vcpu->nr_guards--;
}

void slat_vcpu_unmap_all(struct slat_vcpu *vcpu)
{
	vcpu->nr_guards = 0;
}

void slat_vcpu_skip(struct slat_vcpu *vcpu, u64 next_rip)
{
	vcpu->rip = next_rip;
}

void slat_vcpu_inject(struct slat_vcpu *vcpu, u8 vector, bool has_error, u32 error)
{
	vcpu->events.exception.pending = true;
	vcpu->events.exception.vector = vector;
	vcpu->events.exception.has_error = has_error;
	vcpu->events.exception.error = error;
}

int slat_exit_internal_error(struct slat_vcpu *vcpu, u32 suberror, const u8 *bytes,
			     unsigned int nr)
{
	vcpu->run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	vcpu->run->internal.suberror = suberror;
	return 0;
}

/* No doorbells here. */
bool slat_ioevent_write(struct slat_vm *vm, bool pio, u64 addr, unsigned int len, u64 value)
{
	return false;
}

static void get_segment(struct slat_vcpu *vcpu, struct kvm_segment *segment, unsigned int nr)
{
	*segment = vcpu->segment[nr];
}

static void single_stepped(struct slat_vcpu *vcpu)
{
}

static const struct slat_hw hw = {
	.get_segment = get_segment,
	.single_stepped = single_stepped,
};

const struct slat_hw *slat_hw = &hw;
