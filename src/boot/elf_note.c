// SPDX-License-Identifier: Apache-2.0
/* ELF notes: a list of (name, type, description), padded to 4 bytes each (gABI, "Note Section"). */
#include "boot/elf.h"

#include <elf.h>
#include <string.h>

#define NOTE_MAX                 (64 * KIB) /* looked at per segment; vmlinux has 512 bytes */
#define XEN_ELFNOTE_PHYS32_ENTRY 18         /* xen/interface/elfnote.h */

struct note {
	Elf64_Nhdr h; /* the same in both classes */
	char name[4];
	uint8_t desc[8];
};

/* Takes the note at `at` apart and returns the place of the next one, or `len` at the end. */
static size_t next_note(struct note *n, const uint8_t *notes, size_t len, size_t at, uint64_t align)
{
	uint64_t desc, end;

	*n = (struct note){0};
	if (len - at < sizeof(n->h))
		return len;
	memcpy(&n->h, notes + at, sizeof(n->h));
	at += sizeof(n->h);
	/* 32-bit sizes in 64-bit sums: no overflow. */
	desc = align_up(at + n->h.n_namesz, align);
	end = desc + n->h.n_descsz;
	if (end > len) {
		n->h.n_type = 0;
		return len;
	}
	memcpy(n->name, notes + at, MIN(n->h.n_namesz, sizeof(n->name)));
	memcpy(n->desc, notes + desc, MIN(n->h.n_descsz, sizeof(n->desc)));
	return MIN(align_up(end, align), len);
}

static bool is_pvh(const struct note *n)
{
	return n->h.n_type == XEN_ELFNOTE_PHYS32_ENTRY && n->h.n_namesz == 4 &&
	       !memcmp(n->name, "Xen", 4) && (n->h.n_descsz == 4 || n->h.n_descsz == 8);
}

static int find_in_segment(const struct elf_segment *s, const struct boot_file *f, uint64_t *entry,
			   struct err *e)
{
	static const size_t max = NOTE_MAX;
	uint8_t notes[NOTE_MAX];
	size_t len = MIN(s->filesz, max);
	struct note n;
	int rc = boot_file_read(f, notes, len, s->offset, e);

	if (rc < 0)
		return rc;
	for (size_t at = 0; at < len;) {
		at = next_note(&n, notes, len, at, s->align == 8 ? 8 : 4);
		if (!is_pvh(&n))
			continue;
		memcpy(entry, n.desc, sizeof(*entry)); /* 4 bytes: the upper four are zero */
		return 1;
	}
	return 0;
}

int elf_pvh_entry(const struct elf *elf, const struct boot_file *f, uint64_t *entry, struct err *e)
{
	for (unsigned i = 0; i < elf->n; i++) {
		if (elf->segment[i].type != PT_NOTE)
			continue;
		int rc = find_in_segment(&elf->segment[i], f, entry, e);
		if (rc != 0)
			return rc;
	}
	return 0;
}
