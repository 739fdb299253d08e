cdef extern from "loader.h":
    enum:
        ENO_TAG_LEN
        ENO_OBJECT
        ENO_REDIRECT_OBJECT
        ENO_OBJECTS

    struct eno_program_info:
        unsigned int id
        unsigned char tag[8]
        char name[16]
        unsigned int verified_insns

    struct eno_link_info:
        unsigned int id
        unsigned int program_id
        unsigned long long cgroup_id

    const char *eno_map_name(int object, int index) nogil
    const char *eno_program_name(int object, int index) nogil
    int eno_btf_load(int object) nogil
    int eno_map_create(int object, int index, int btf) nogil
    unsigned int eno_map_key_size(int object, int index) nogil
    unsigned int eno_map_value_size(int object, int index) nogil
    int eno_map_lookup(int map, const void *key, void *value) nogil
    int eno_map_update(int map, const void *key, const void *value) nogil
    int eno_map_delete(int map, const void *key) nogil
    int eno_map_read(int map, void *value, size_t size) nogil
    int eno_map_write(int map, const void *value, size_t size) nogil
    int eno_program_load(int object, int index, int btf, const int *maps, char *log,
                         size_t size) nogil
    int eno_link_create(int object, int index, int program, int target) nogil
    int eno_link_detach(int link) nogil
    int eno_pin(int fd, const char *path) nogil
    int eno_open_pinned(const char *path) nogil
    int eno_get_program_info(int program, eno_program_info *info) nogil
    int eno_get_link_info(int link, eno_link_info *info) nogil
    int eno_program_by_id(unsigned int id) nogil
    int eno_query(int object, int index, int cgroup, int effective, unsigned int *ids,
                  unsigned int *count) nogil

cdef extern from "ring.h":
    struct eno_ring:
        size_t size

    int eno_ring_open(eno_ring *ring, int map, size_t size) nogil
    const void *eno_ring_next(eno_ring *ring, size_t *size) nogil
    void eno_ring_release(eno_ring *ring) nogil
    void eno_ring_close(eno_ring *ring) nogil

cdef extern from "eno_abi.h":
    enum:
        ENO_ABI_VERSION
