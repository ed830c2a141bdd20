/* SPDX-License-Identifier: GPL-2.0-only */
/* A list by first address instead of a tree. */
#ifndef SLAT_UNIT_INTERVAL_TREE_H
#define SLAT_UNIT_INTERVAL_TREE_H

#include <linux/compiler.h>

struct interval_tree_node {
	struct interval_tree_node *next;
	unsigned long start;
	unsigned long last;
};

struct rb_root_cached {
	struct interval_tree_node *head;
};

static inline void interval_tree_insert(struct interval_tree_node *node,
					struct rb_root_cached *root)
{
	struct interval_tree_node **link = &root->head;

	while (*link && (*link)->start < node->start)
		link = &(*link)->next;
	node->next = *link;
	*link = node;
}

static inline void interval_tree_remove(struct interval_tree_node *node,
					struct rb_root_cached *root)
{
	struct interval_tree_node **link = &root->head;

	while (*link != node)
		link = &(*link)->next;
	*link = node->next;
}

static inline struct interval_tree_node *
interval_tree_reaching(struct interval_tree_node *node, unsigned long start, unsigned long last)
{
	while (node && node->last < start)
		node = node->next;
	return node && node->start <= last ? node : NULL;
}

static inline struct interval_tree_node *
interval_tree_iter_first(struct rb_root_cached *root, unsigned long start, unsigned long last)
{
	return interval_tree_reaching(root->head, start, last);
}

static inline struct interval_tree_node *
interval_tree_iter_next(struct interval_tree_node *node, unsigned long start, unsigned long last)
{
	return interval_tree_reaching(node->next, start, last);
}

#endif
