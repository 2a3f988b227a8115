/*
 * alerts.c - compile rules, run them over a file of events, print the alerts.
 *
 *   cc -std=c11 -I ffi/include ffi/examples/c/alerts.c -L target/release -lkestrel -o alerts
 *   LD_LIBRARY_PATH=target/release ./alerts wasm events.ndjson rule.eql...
 *
 * Alerts go to standard output, everything else to standard error. Exit status: 0 done, 1 the rules have errors or cannot
 * run, 2 usage or IO.
 */
#include <kestrel.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads a whole file; the caller frees it. */
static char *read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    size_t capacity = 4096;
    char *text = malloc(capacity);
    *length = 0;
    while (file != NULL && text != NULL) {
        size_t count = fread(text + *length, 1, capacity - *length, file);
        *length += count;
        if (count == 0) {
            break;
        }
        if (*length == capacity) {
            char *larger = realloc(text, capacity *= 2);
            if (larger == NULL) {
                free(text);
            }
            text = larger;
        }
    }
    if (file == NULL || text == NULL || ferror(file)) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(2);
    }
    fclose(file);
    return text;
}

/* Gets each alert. `user` is what was passed to kestrel_engine_feed. */
static void print_alert(void *user, const char *line, size_t length) {
    FILE *output = user;
    fwrite(line, 1, length, output);
    fputc('\n', output);
}

/* Rule files to a pack. The bytes could be written to a file here, and read by another process. */
static kestrel_pack *build(char **paths, size_t count) {
    kestrel_rule_file *files = calloc(count, sizeof *files);
    kestrel_compilation *compilation = NULL;
    kestrel_pack *pack = NULL;
    kestrel_status status;
    const uint8_t *bytes;
    size_t length = 0;

    if (files == NULL) {
        exit(2);
    }
    for (size_t number = 0; number < count; number++) {
        files[number].name = paths[number];
        files[number].text = read_file(paths[number], &files[number].text_length);
    }
    status = kestrel_compile(files, count, "example", 0, &compilation);
    /* Warnings are there after a success too. */
    fputs(kestrel_compilation_diagnostics(compilation, NULL), stderr);
    if (status != KESTREL_OK) {
        fprintf(stderr, "cannot compile: %s\n", kestrel_compilation_error(compilation));
    } else {
        bytes = kestrel_compilation_pack(compilation, &length);
        status = kestrel_pack_open(bytes, length, &pack);
        if (status != KESTREL_OK) {
            fprintf(stderr, "cannot open the pack: %s\n", kestrel_pack_error(pack));
            kestrel_pack_free(pack);
            pack = NULL;
        }
    }
    kestrel_compilation_free(compilation);
    for (size_t number = 0; number < count; number++) {
        free((char *)files[number].text);
    }
    free(files);
    return pack;
}

/* Every line is a document. One that is no event does not stop the run. */
static void feed_lines(kestrel_engine *engine, const char *text, size_t length) {
    const char *end = text + length;
    while (text < end) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        size_t line_length = (size_t)((line_end != NULL ? line_end : end) - text);
        if (line_length > 0
            && kestrel_engine_feed(engine, text, line_length, print_alert, stdout) != KESTREL_OK) {
            fprintf(stderr, "%s\n", kestrel_engine_error(engine));
        }
        text += line_length + 1;
    }
}

int main(int count, char **arguments) {
    kestrel_pack *pack;
    kestrel_engine *engine = NULL;
    kestrel_counters counters = {0};
    int result = 1;

    if (count < 4) {
        fprintf(stderr, "usage: alerts wasm|lua|native|interp EVENTS RULE...\n");
        return 2;
    }
    if (kestrel_api_version() != KESTREL_API_VERSION) {
        fprintf(stderr, "libkestrel %s is not the library that this program was made for\n", kestrel_version());
        return 2;
    }
    pack = build(arguments + 3, (size_t)count - 3);
    if (pack == NULL) {
        return 1;
    }
    if (kestrel_engine_new(pack, arguments[1], &engine) != KESTREL_OK) {
        fprintf(stderr, "cannot run: %s\n", kestrel_engine_error(engine));
    } else {
        size_t length = 0;
        char *events = read_file(arguments[2], &length);
        feed_lines(engine, events, length);
        kestrel_engine_finish(engine, print_alert, stdout);
        kestrel_engine_counters(engine, &counters, sizeof counters);
        fprintf(stderr, "%llu events, %llu invalid, %llu alerts\n", (unsigned long long)counters.events,
                (unsigned long long)counters.invalid_documents, (unsigned long long)counters.alerts);
        free(events);
        result = 0;
    }
    kestrel_engine_free(engine);
    kestrel_pack_free(pack);
    return result;
}
