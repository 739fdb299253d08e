/* Loading, attaching and pinning *_insns.h by raw bpf(2): no libbpf.
 *
 * Every call returns a file descriptor or 0, or -errno.  Needs CAP_BPF and
 * CAP_NET_ADMIN; eno_program_by_id() needs CAP_SYS_ADMIN.
 */
#ifndef ENO_LOADER_H
#define ENO_LOADER_H

#include <stddef.h>

enum { ENO_NAME_LEN = 16, ENO_TAG_LEN = 8, ENO_FDS_MAX = 16 };

enum { ENO_OBJECT, ENO_REDIRECT_OBJECT, ENO_OBJECTS };

struct eno_program_info {
	unsigned int id;
	unsigned char tag[ENO_TAG_LEN];
	char name[ENO_NAME_LEN];
	unsigned int verified_insns;
};

struct eno_link_info {
	unsigned int id, program_id;
	unsigned long long cgroup_id; /* 0: the cgroup is gone */
};

/* An object's maps and programs in their fixed order; NULL past the end. */
const char *eno_map_name(int object, int index);
const char *eno_program_name(int object, int index);

int eno_btf_load(int object);
int eno_map_create(int object, int index, int btf);
unsigned int eno_map_key_size(int object, int index);
unsigned int eno_map_value_size(int object, int index);
/* key and value must have the map's sizes */
int eno_map_lookup(int map, const void *key, void *value);
int eno_map_update(int map, const void *key, const void *value);
int eno_map_delete(int map, const void *key);
/* The one value of an array of one; EPROTONOSUPPORT if the map is not like that. */
int eno_map_read(int map, void *value, size_t size);
int eno_map_write(int map, const void *value, size_t size);
/* maps: the descriptors of all maps in order; log: the verifier's, on failure */
int eno_program_load(int object, int index, int btf, const int *maps, char *log, size_t log_size);
/* target: a cgroup's directory, or a network namespace for sk_lookup */
int eno_link_create(int object, int index, int program, int target);
/* At once: dropping the last reference to a link detaches it some time later. */
int eno_link_detach(int link);

int eno_pin(int fd, const char *path);
int eno_open_pinned(const char *path);
int eno_get_program_info(int program, struct eno_program_info *info);
int eno_get_link_info(int link, struct eno_link_info *info);
int eno_program_by_id(unsigned int id);
/* ids of the programs that run for the cgroup at the index's hook, ancestors' included */
int eno_query(int object, int index, int cgroup, int effective, unsigned int *ids,
	      unsigned int *count);

#endif
