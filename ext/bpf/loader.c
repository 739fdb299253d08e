/* bpf(2) by hand: what libbpf would do, for these few objects. */
#include "loader.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

struct eno_map_def {
	const char *name;
	__u32 type, key_size, value_size, max_entries, flags;
};

struct eno_map_use {
	__u32 insn, map;
};

struct eno_function {
	__u32 insn;
	const char *name;
};

struct eno_program {
	const char *name;
	__u32 type, attach_type;
	const __u64 *insns;
	const struct eno_map_use *maps;
	const struct eno_function *functions;
	__u32 insn_count, map_count, function_count;
};

/* clang-format off */
#define ENO_PROGRAM(stem, type, attach_type)                                                   \
	{                                                                                      \
		#stem, type, attach_type, stem##_insns, stem##_maps, stem##_functions,         \
			ARRAY_LEN(stem##_insns), ARRAY_LEN(stem##_maps),                       \
			ARRAY_LEN(stem##_functions)                                            \
	}
/* clang-format on */

#include "eno_insns.h"
#include "redirect_insns.h"

struct eno_object {
	const struct eno_map_def *maps;
	const struct eno_program *programs;
	const char *license;
	int map_count, program_count;
};

static const struct eno_object eno_objects[] = {
	[ENO_OBJECT] = { eno_map_defs, eno_programs, ENO_LICENSE, ARRAY_LEN(eno_map_defs),
			 ARRAY_LEN(eno_programs) },
	[ENO_REDIRECT_OBJECT] = { redirect_map_defs, redirect_programs, REDIRECT_LICENSE,
				  ARRAY_LEN(redirect_map_defs), ARRAY_LEN(redirect_programs) },
};

/* The programs were compiled for little-endian hosts. */
#define ENO_RUNS_HERE (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

/* The BTF the kernel insists on: sk_storage maps name the types of key and
 * value, programs with callbacks describe their functions.  Sizes are what it
 * checks; type BTF_LAST + n is an array as large as map n's value. */
enum { BTF_INT = 1, BTF_BYTE, BTF_PROTO, BTF_FUNCTION, BTF_LAST };

struct eno_btf_int {
	struct btf_type head;
	__u32 encoding;
};

struct eno_btf_array {
	struct btf_type head;
	struct btf_array array;
};

struct eno_btf {
	struct btf_header header;
	struct eno_btf_int integer, byte;
	struct btf_type proto, function;
	struct eno_btf_array values[ENO_FDS_MAX];
	char strings[16];
};

static int eno_bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	long fd = syscall(__NR_bpf, cmd, attr, sizeof(*attr));

	return fd < 0 ? -errno : (int)fd;
}

static __u64 eno_pointer(const void *p)
{
	return (__u64)(uintptr_t)p;
}

const char *eno_map_name(int object, int index)
{
	const struct eno_object *o = &eno_objects[object];

	return index < o->map_count ? o->maps[index].name : NULL;
}

unsigned int eno_map_key_size(int object, int index)
{
	return eno_objects[object].maps[index].key_size;
}

unsigned int eno_map_value_size(int object, int index)
{
	return eno_objects[object].maps[index].value_size;
}

const char *eno_program_name(int object, int index)
{
	const struct eno_object *o = &eno_objects[object];

	return index < o->program_count ? o->programs[index].name : NULL;
}

int eno_btf_load(int object)
{
	const struct eno_object *o = &eno_objects[object];
	struct eno_btf btf = {
		.header = {
			.magic = BTF_MAGIC,
			.version = BTF_VERSION,
			.hdr_len = sizeof(btf.header),
			.type_len = offsetof(struct eno_btf, strings) - sizeof(btf.header),
			.str_off = offsetof(struct eno_btf, strings) - sizeof(btf.header),
			.str_len = sizeof(btf.strings),
		},
		.integer = { { 1, BTF_KIND_INT << 24, { 4 } }, BTF_INT_SIGNED << 24 | 32 },
		.byte = { { 5, BTF_KIND_INT << 24, { 1 } }, 8 },
		.proto = { 0, BTF_KIND_FUNC_PROTO << 24, { BTF_INT } },
		.function = { 8, BTF_KIND_FUNC << 24 | BTF_FUNC_STATIC, { BTF_PROTO } },
		.strings = "\0int\0u8\0eno_fn",
	};
	union bpf_attr attr = { .btf = eno_pointer(&btf), .btf_size = sizeof(btf) };
	int i;

	for (i = 0; i < ENO_FDS_MAX; i++)
		btf.values[i] = (struct eno_btf_array){
			{ 0, BTF_KIND_ARRAY << 24, { 0 } },
			{ BTF_BYTE, BTF_INT, i < o->map_count ? o->maps[i].value_size : 1 },
		};
	return eno_bpf(BPF_BTF_LOAD, &attr);
}

static int eno_is_sk_storage(const struct eno_map_def *def)
{
	return def->type == BPF_MAP_TYPE_SK_STORAGE;
}

/* sk_storage maps: an int key and, for the value, a BTF type of its size. */
int eno_map_create(int object, int index, int btf)
{
	const struct eno_map_def *def = &eno_objects[object].maps[index];
	union bpf_attr attr = {
		.map_type = def->type,
		.key_size = def->key_size,
		.value_size = def->value_size,
		.max_entries = def->max_entries,
		.map_flags = def->flags,
	};

	strncpy(attr.map_name, def->name, sizeof(attr.map_name) - 1);
	if (eno_is_sk_storage(def)) {
		attr.btf_fd = (__u32)btf;
		attr.btf_key_type_id = BTF_INT;
		attr.btf_value_type_id = BTF_LAST + (__u32)index;
	}
	return eno_bpf(BPF_MAP_CREATE, &attr);
}

static int eno_info(int fd, void *info, size_t size)
{
	union bpf_attr attr = {
		.info = { .bpf_fd = (__u32)fd, .info_len = size, .info = eno_pointer(info) },
	};

	return eno_bpf(BPF_OBJ_GET_INFO_BY_FD, &attr);
}

static int eno_map_command(enum bpf_cmd cmd, int map, const void *key, const void *value)
{
	union bpf_attr attr = {
		.map_fd = (__u32)map,
		.key = eno_pointer(key),
		.value = eno_pointer(value),
	};

	return eno_bpf(cmd, &attr);
}

/* The kernel copies as many bytes as the map's values have: they must be ours. */
static int eno_map_element(enum bpf_cmd cmd, int map, const void *value, size_t size)
{
	struct bpf_map_info info = { 0 };
	const __u32 first = 0;
	int err = eno_info(map, &info, sizeof(info));

	if (err < 0)
		return err;
	if (info.type != BPF_MAP_TYPE_ARRAY || info.value_size != size)
		return -EPROTONOSUPPORT;
	return eno_map_command(cmd, map, &first, value);
}

int eno_map_read(int map, void *value, size_t size)
{
	return eno_map_element(BPF_MAP_LOOKUP_ELEM, map, value, size);
}

int eno_map_write(int map, const void *value, size_t size)
{
	return eno_map_element(BPF_MAP_UPDATE_ELEM, map, value, size);
}

int eno_map_lookup(int map, const void *key, void *value)
{
	return eno_map_command(BPF_MAP_LOOKUP_ELEM, map, key, value);
}

int eno_map_update(int map, const void *key, const void *value)
{
	return eno_map_command(BPF_MAP_UPDATE_ELEM, map, key, value);
}

int eno_map_delete(int map, const void *key)
{
	return eno_map_command(BPF_MAP_DELETE_ELEM, map, key, NULL);
}

/* Map descriptors go into the ld_imm64 instructions that name a map. */
static void eno_relocate(struct bpf_insn *insns, const struct eno_program *p, const int *maps)
{
	__u32 i;

	for (i = 0; i < p->map_count; i++) {
		insns[p->maps[i].insn].src_reg = BPF_PSEUDO_MAP_FD;
		insns[p->maps[i].insn].imm = maps[p->maps[i].map];
	}
}

static struct bpf_func_info *eno_describe(const struct eno_program *p)
{
	struct bpf_func_info *functions = calloc(p->function_count, sizeof(*functions));
	__u32 i;

	for (i = 0; functions && i < p->function_count; i++) {
		functions[i].insn_off = p->functions[i].insn;
		functions[i].type_id = BTF_FUNCTION;
	}
	return functions;
}

static int eno_load_insns(const struct eno_program *p, const char *license, int btf,
			  const struct bpf_insn *insns, const struct bpf_func_info *functions,
			  char *log, size_t log_size)
{
	union bpf_attr attr = {
		.prog_type = p->type,
		.expected_attach_type = p->attach_type,
		.insns = eno_pointer(insns),
		.insn_cnt = p->insn_count,
		.license = eno_pointer(license),
		.prog_btf_fd = (__u32)btf,
		.func_info = eno_pointer(functions),
		.func_info_cnt = p->function_count,
		.func_info_rec_size = sizeof(*functions),
	};
	int fd;

	strncpy(attr.prog_name, p->name, sizeof(attr.prog_name) - 1);
	fd = eno_bpf(BPF_PROG_LOAD, &attr);
	if (fd >= 0 || !log_size)
		return fd;
	/* Once more, for the verifier's reasons. */
	attr.log_level = 1;
	attr.log_buf = eno_pointer(log);
	attr.log_size = (__u32)log_size;
	return eno_bpf(BPF_PROG_LOAD, &attr);
}

int eno_program_load(int object, int index, int btf, const int *maps, char *log, size_t log_size)
{
	const struct eno_program *p = &eno_objects[object].programs[index];
	struct bpf_func_info *functions;
	struct bpf_insn *insns;
	int fd = -ENOMEM;

	if (!ENO_RUNS_HERE)
		return -ENOTSUP;
	insns = malloc(p->insn_count * sizeof(*insns));
	functions = eno_describe(p);
	if (insns && functions) {
		memcpy(insns, p->insns, p->insn_count * sizeof(*insns));
		eno_relocate(insns, p, maps);
		fd = eno_load_insns(p, eno_objects[object].license, btf, insns, functions, log,
				    log_size);
	}
	free(functions);
	free(insns);
	return fd;
}

int eno_link_create(int object, int index, int program, int target)
{
	union bpf_attr attr = {
		.link_create = {
			.prog_fd = (__u32)program,
			.target_fd = (__u32)target,
			.attach_type = eno_objects[object].programs[index].attach_type,
		},
	};

	return eno_bpf(BPF_LINK_CREATE, &attr);
}

int eno_link_detach(int link)
{
	union bpf_attr attr = { .link_detach = { .link_fd = (__u32)link } };

	return eno_bpf(BPF_LINK_DETACH, &attr);
}

int eno_pin(int fd, const char *path)
{
	union bpf_attr attr = { .pathname = eno_pointer(path), .bpf_fd = (__u32)fd };

	return eno_bpf(BPF_OBJ_PIN, &attr);
}

int eno_open_pinned(const char *path)
{
	union bpf_attr attr = { .pathname = eno_pointer(path) };

	return eno_bpf(BPF_OBJ_GET, &attr);
}

int eno_get_program_info(int program, struct eno_program_info *out)
{
	struct bpf_prog_info info = { 0 };
	int err = eno_info(program, &info, sizeof(info));

	if (err < 0)
		return err;
	out->id = info.id;
	out->verified_insns = info.verified_insns;
	memcpy(out->tag, info.tag, sizeof(out->tag));
	memcpy(out->name, info.name, sizeof(out->name));
	return 0;
}

int eno_get_link_info(int link, struct eno_link_info *out)
{
	struct bpf_link_info info = { 0 };
	int err = eno_info(link, &info, sizeof(info));

	if (err < 0)
		return err;
	out->id = info.id;
	out->program_id = info.prog_id;
	out->cgroup_id = info.cgroup.cgroup_id;
	return 0;
}

int eno_program_by_id(unsigned int id)
{
	union bpf_attr attr = { .prog_id = id };

	return eno_bpf(BPF_PROG_GET_FD_BY_ID, &attr);
}

int eno_query(int object, int index, int cgroup, int effective, unsigned int *ids,
	      unsigned int *count)
{
	union bpf_attr attr = {
		.query = {
			.target_fd = (__u32)cgroup,
			.attach_type = eno_objects[object].programs[index].attach_type,
			.query_flags = effective ? BPF_F_QUERY_EFFECTIVE : 0,
			.prog_ids = eno_pointer(ids),
			.prog_cnt = *count,
		},
	};
	int err = eno_bpf(BPF_PROG_QUERY, &attr);

	*count = attr.query.prog_cnt;
	return err;
}
