// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer target: operations on a tree, eight bytes each, agree with the model.
 * The first byte picks the format, the number of levels and whether there is
 * interference.
 */
#include <string.h>

#include "rig.h"

#define STEPS_MAX	300

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig *rig;
	unsigned int n;

	if (!size)
		return 0;
	rig = rig_new(data[0] & 4 ? &rig_ept : &rig_npt, data[0] & 1 ? 5 : 4);
	if (data[0] & 2)
		rig_storm(rig, 1 + data[0]);
	for (n = 0; n < STEPS_MAX && 1 + (n + 1) * sizeof(u64) <= size; n++) {
		u64 word;

		memcpy(&word, data + 1 + n * sizeof(word), sizeof(word));
		rig_step(rig, word);
	}
	rig_scan(rig);
	rig_free(rig);
	return 0;
}
