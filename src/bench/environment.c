/* environment.c - where a benchmark ran. */
#include "bench/environment.h"

#include "base/buf.h"
#include "base/topology.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* What follows "key : " in a file such as /proc/cpuinfo. */
static bool read_key(const char *path, const char *key, char *out, size_t size)
{
    char line[512];
    bool found = false;
    FILE *file = fopen(path, "re");
    while (file && !found && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        size_t n = strlen(key);
        if (!colon || strncmp(line, key, n) != 0 || !strchr(" \t:", line[n])) continue;
        char *value = colon + 1 + strspn(colon + 1, " \t");
        value[strcspn(value, "\n")] = '\0';
        snprintf(out, size, "%s", value);
        found = true;
    }
    if (file) fclose(file);
    return found;
}

static void read_first_line(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "re");
    out[0] = '\0';
    if (!file) return;
    if (!fgets(out, (int)size, file)) out[0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    fclose(file);
}

static bool is_part_of_model(const char *name)
{
    size_t n = strlen(name);
    return (n > 12 && strcmp(name + n - 12, ".safetensors") == 0) ||
           (n > 5 && strcmp(name + n - 5, ".gguf") == 0) || strcmp(name, "config.json") == 0;
}

static void add_file(EVP_MD_CTX *digest, const char *path, const char *name, uint64_t *bytes)
{
    enum { BEGIN = 1 << 20 };
    struct stat st;
    char *begin = malloc(BEGIN), size[32];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && begin && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        ssize_t n = read(fd, begin, BEGIN);
        int n_size = snprintf(size, sizeof size, "%lld", (long long)st.st_size);
        *bytes += (uint64_t)st.st_size;
        EVP_DigestUpdate(digest, name, strlen(name) + 1);
        EVP_DigestUpdate(digest, size, (size_t)n_size + 1);
        if (n > 0) EVP_DigestUpdate(digest, begin, (size_t)n);
    }
    if (fd >= 0) close(fd);
    free(begin);
}

static int keep_parts(const struct dirent *entry)
{
    return is_part_of_model(entry->d_name);
}

static void add_model(json_t *object, const char *model)
{
    struct stat st;
    unsigned char is[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1] = "";
    unsigned n_digest = 0;
    uint64_t bytes = 0;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    if (!digest || EVP_DigestInit_ex(digest, EVP_sha256(), NULL) != 1 || stat(model, &st) != 0) {
        EVP_MD_CTX_free(digest);
        return;
    }
    if (S_ISDIR(st.st_mode)) {
        struct dirent **entries = NULL;
        int n = scandir(model, &entries, keep_parts, alphasort);
        for (int i = 0; i < n; i++) {
            struct buf path = {0};
            if (buf_printf(&path, "%s/%s", model, entries[i]->d_name))
                add_file(digest, path.data, entries[i]->d_name, &bytes);
            buf_free(&path);
            free(entries[i]);
        }
        free(entries);
    } else {
        add_file(digest, model, "", &bytes);
    }
    if (EVP_DigestFinal_ex(digest, is, &n_digest) == 1)
        for (unsigned i = 0; i < n_digest; i++) snprintf(hex + 2 * i, 3, "%02x", is[i]);
    EVP_MD_CTX_free(digest);
    json_object_set_new(object, "model_bytes", json_integer((json_int_t)bytes));
    json_object_set_new(object, "model_fingerprint", json_string(hex));
}

json_t *environment_json(const char *model)
{
    char governor[64], stamp[32] = "", memory[64] = "0";
    struct utsname system = {0};
    struct topology_summary processor; /* left empty on failure */
    time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc)) strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &utc);
    uname(&system);
    topology_describe(&processor, NULL);
    read_first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", governor,
                    sizeof governor);
    read_key("/proc/meminfo", "MemTotal", memory, sizeof memory);
    json_t *object = json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:I}", "time", stamp, "vinci",
                               vinci_version(), "processor", processor.name, "processors",
                               (int)sysconf(_SC_NPROCESSORS_ONLN), "architecture", system.machine,
                               "kernel", system.release, "governor", governor, "memory_bytes",
                               (json_int_t)(strtoull(memory, NULL, 10) * 1024));
    if (object && model) add_model(object, model);
    return object;
}
