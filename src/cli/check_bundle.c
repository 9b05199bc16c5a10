/* check_bundle.c - what to send when something fails on an NPU: versions, devices, CANN's libraries
 * with their hashes, CANN's environment variables, and how a small self test ended.
 *
 * No secrets: of the environment only the variables listed here, of paths the home folder as "~";
 * no names of the machine or the user, no model, no text of a conversation. The report is in
 * English whatever the language, as it goes to whoever helps; messages in it are as they came. */
#include "cli/check_bundle.h"

#include "base/buf.h"
#include "hub/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* Text with the home folder as "~". */
static void put(FILE *to, const struct program *program, const char *text)
{
    const char *home = program->home;
    size_t n = home ? strlen(home) : 0;
    while (*text) {
        const char *found = n > 1 ? strstr(text, home) : NULL;
        size_t before = found ? (size_t)(found - text) : strlen(text);
        fwrite(text, 1, before, to);
        if (!found) break;
        fputc('~', to);
        text = found + n;
    }
}

static void put_line(FILE *to, const struct program *program, const char *label, const char *text)
{
    fprintf(to, "%-12s ", label);
    put(to, program, text);
    fputc('\n', to);
}

/* The first lines of a small file. */
static void put_file(FILE *to, const struct program *program, const char *path)
{
    enum { MAX_LINES = 12 };
    char line[300];
    FILE *file = fopen(path, "re");
    if (!file) return;
    put_line(to, program, "file", path);
    for (int i = 0; i < MAX_LINES && fgets(line, sizeof line, file); i++) {
        line[strcspn(line, "\r\n")] = '\0';
        put_line(to, program, "", line);
    }
    fclose(file);
}

/* ---- the machine ---------------------------------------------------------------------------- */

static void put_machine(FILE *to, const struct program *program)
{
    struct utsname system;
    char text[300];
    time_t now = time(NULL);
    struct tm utc;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    fprintf(to, "# vinci check --bundle\n\n");
    put_line(to, program, "vinci", vinci_version());
    put_line(to, program, "time", text);
    if (uname(&system) == 0) {
        snprintf(text, sizeof text, "%s %s %s", system.sysname, system.release, system.machine);
        put_line(to, program, "system", text);
    }
    put_file(to, program, "/etc/os-release");
    put_file(to, program, "/usr/local/Ascend/driver/version.info");
    put_file(to, program, "/usr/local/Ascend/firmware/version.info");
}

static void put_device_files(FILE *to, const struct program *program)
{
    static const char *const patterns[] = {"/dev/davinci*", "/dev/devmm_svm", "/dev/hisi_hdc"};
    fprintf(to, "\n# device files\n\n");
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        glob_t found = {0};
        if (glob(patterns[i], 0, NULL, &found) != 0) put_line(to, program, "none", patterns[i]);
        for (size_t f = 0; f < found.gl_pathc; f++) {
            char text[200];
            struct stat info;
            if (stat(found.gl_pathv[f], &info) != 0) continue;
            snprintf(text, sizeof text, "%.100s mode %o, %s", found.gl_pathv[f],
                     (unsigned)info.st_mode & 07777,
                     access(found.gl_pathv[f], R_OK | W_OK) == 0 ? "may be opened"
                                                                 : "may not be opened");
            put_line(to, program, "file", text);
        }
        globfree(&found);
    }
}

static void put_devices(FILE *to, const struct program *program, const struct device_list *devices)
{
    fprintf(to, "\n# devices\n\n");
    json_t *list = devices_json(devices);
    char *text = list ? json_dumps(list, JSON_INDENT(2)) : NULL;
    if (text) put(to, program, text);
    fputc('\n', to);
    free(text);
    json_decref(list);
    if (devices->npu_reason.text[0]) put_line(to, program, "no NPU", devices->npu_reason.text);
}

/* ---- CANN ----------------------------------------------------------------------------------- */

static void put_library(FILE *to, const struct program *program, const char *path)
{
    char text[1400];
    struct stat info;
    struct digest_text hash = {""};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) {
        snprintf(text, sizeof text, "%.1000s: %s", path, strerror(errno));
    } else {
        struct digest *digest = digest_new(DIGEST_SHA256, (uint64_t)info.st_size);
        if (!digest ||
            digest_add_file(digest, fd, path, 0, (uint64_t)info.st_size, NULL) != VINCI_OK ||
            !digest_end(digest, &hash))
            hash = (struct digest_text){"(not read)"};
        digest_free(digest);
        snprintf(text, sizeof text, "%s %12lld %.1000s", hash.hex, (long long)info.st_size, path);
    }
    if (fd >= 0) close(fd);
    put_line(to, program, "library", text);
}

static void put_cann(FILE *to, const struct program *program)
{
    struct vinci_error err;
    char *text = NULL, *rest = NULL;
    fprintf(to, "\n# CANN (libraries: SHA-256, bytes, path; missing: functions without which older "
                "ones are used)\n\n");
    if (vinci_cann_describe(&text, &program->cann, &err) != VINCI_OK) {
        put_line(to, program, "none", err.text);
        return;
    }
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *word = strchr(line, ' ');
        if (!word) continue;
        *word++ = '\0';
        if (strcmp(line, "library") == 0) put_library(to, program, word);
        else put_line(to, program, line, word);
    }
    vinci_free(text);
}

static void put_environment(FILE *to, const struct program *program)
{
    fprintf(to, "\n# environment (CANN's variables alone)\n\n");
    for (size_t i = 0; program->cann_environment[i].name; i++)
        if (program->cann_environment[i].value)
            put_line(to, program, program->cann_environment[i].name,
                     program->cann_environment[i].value);
}

/* ---- the self test --------------------------------------------------------------------------- */

static void put_outcome(FILE *to, const struct program *program, const char *what,
                        enum vinci_status status, const struct vinci_error *err, const char *text)
{
    if (status == VINCI_OK) put_line(to, program, what, text);
    else {
        fprintf(to, "%-12s %s: ", what, vinci_status_name(status));
        put(to, program, err->text);
        fputc('\n', to);
    }
}

static void self_test(FILE *to, const struct program *program,
                      const struct vinci_device_info *device, uint32_t n_threads)
{
    enum { SIZE = 256, REPEAT = 3, BYTES = 16 << 20 };
    static const char *const types[VINCI_CHECK_TYPES] = {"f32", "f16", "bf16", "int8"};
    struct vinci_check *check = NULL;
    struct vinci_error err;
    struct vinci_check_network n;
    struct vinci_check_bandwidth b;
    struct vinci_check_ties ties;
    char text[300];
    fprintf(to, "\n# self test of %s\n\n", device->id);
    enum vinci_status status =
        vinci_check_open(&check, device->id, &program->cann, n_threads, &err);
    put_outcome(to, program, "open", status, &err, "ok");
    if (status != VINCI_OK) return;
    status = vinci_check_network(check, 0, &n, &err);
    if (status == VINCI_OK)
        snprintf(text, sizeof text, "gradients %s: error %.2e, from the CPU %.2e, loss %.4f",
                 n.gradients_agree ? "right" : "WRONG", n.gradient_error, n.cpu_error, n.loss);
    put_outcome(to, program, "network", status, &err, text);
    for (int type = 0; status == VINCI_OK && type < VINCI_CHECK_TYPES; type++) {
        struct vinci_check_product p;
        enum vinci_status done =
            vinci_check_product(check, (enum vinci_check_type)type, SIZE, REPEAT, &p, &err);
        if (done == VINCI_OK)
            snprintf(text, sizeof text, "%u x %u %s: error %.2e, %.3f ms", p.n, p.n,
                     p.agrees ? "right" : "WRONG", p.error, 1e3 * p.min_seconds);
        put_outcome(to, program, types[type], done, &err, text);
        if (done != VINCI_UNSUPPORTED) status = done;
    }
    if (status != VINCI_OK) goto cleanup; /* the rest would say the same */
    status = vinci_check_bandwidth(check, BYTES, REPEAT, &b, &err);
    if (status == VINCI_OK)
        snprintf(text, sizeof text, "copying %.2f GB/s, to the device %.2f, back %.2f",
                 b.copy / 1e9, b.to_device / 1e9, b.from_device / 1e9);
    put_outcome(to, program, "memory", status, &err, text);
    if (status != VINCI_OK) goto cleanup;
    status = vinci_check_ties(check, &ties, &err);
    if (status == VINCI_OK)
        snprintf(text, sizeof text, "of equal ones first %u, last %u, between %u, wrong %u",
                 ties.n_first, ties.n_last, ties.n_between, ties.n_wrong);
    put_outcome(to, program, "largest", status, &err, text);

cleanup:
    vinci_check_close(check);
}

enum vinci_status bundle_write(const char *path, const struct program *program,
                               const struct device_list *devices,
                               const struct vinci_device_info *device, uint32_t n_threads,
                               struct vinci_error *err)
{
    bool to_stdout = strcmp(path, "-") == 0;
    FILE *to = to_stdout ? stdout : fopen(path, "we");
    if (!to) return fail_errno(err, errno, path, "write");
    put_machine(to, program);
    put_devices(to, program, devices);
    put_device_files(to, program);
    put_cann(to, program);
    put_environment(to, program);
    fflush(to); /* if the self test takes the process with it, the rest is there */
    self_test(to, program, device, n_threads);
    bool ok = fflush(to) == 0 && !ferror(to);
    int reason = errno;
    if (!to_stdout && fclose(to) != 0) {
        reason = ok ? errno : reason;
        ok = false;
    }
    if (!ok && !to_stdout) return fail_errno(err, reason, path, "write");
    return VINCI_OK; /* standard output is checked at the end */
}
