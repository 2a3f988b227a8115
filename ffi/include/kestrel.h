/*
 * kestrel.h - libkestrel: compile EQL rules to a pack, run a pack over JSON events, get alerts. C API version 0.
 *
 * The guide with a full example is docs/c-api.md. Version 0 means that anything may still change; compare
 * kestrel_api_version() with KESTREL_API_VERSION before anything else.
 *
 *   rule texts -- kestrel_compile --> kestrel_compilation -- bytes --> kestrel_pack_open --> kestrel_pack
 *                                                                                              |
 *   JSON documents -- kestrel_engine_feed --> kestrel_engine <-- kestrel_engine_new -----------+
 *                                                  +--> alert callback
 *
 * Ownership
 *   A function that makes a handle stores it through its last argument WHATEVER it answers, so that the handle's error
 *   can be read, and the caller frees it with the _free function of its type. Only when that last argument is itself null
 *   nothing is stored. What a handle gives out (texts, bytes) belongs to the handle and is valid until the handle is
 *   freed, where not said otherwise. What the caller passes in is read during the call and never kept; the user pointer
 *   of a callback is handed on and not looked at.
 *
 * Threads
 *   Different handles may be used by different threads at the same time. A handle may be made by one thread and used by
 *   another. A compilation and a pack do not change once made: any number of threads may read one. An engine serves one
 *   call at a time: a second one, also from within a callback, is answered with KESTREL_BUSY and changes nothing but the
 *   engine's error. Freeing a handle that another thread still uses is an error of the caller.
 *
 * Errors
 *   Every call that can fail answers a status. The text for people is the handle's error: UTF-8, one sentence, never null,
 *   empty when nothing failed. No call waits for input, ends the process or throws.
 *
 * Texts and lengths
 *   Texts are UTF-8. A `const char *` without a length ends with a zero byte. A pointer with a length of 0 may be null.
 */
#ifndef KESTREL_H
#define KESTREL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The version of the C API that this header describes. */
#define KESTREL_API_VERSION 0

/** What a call answers. */
typedef enum kestrel_status {
    /** The call did what it says. */
    KESTREL_OK = 0,
    /** A pointer is null that must not be, a length is impossible, a text is not UTF-8, a flag is unknown. */
    KESTREL_INVALID_ARGUMENT = 1,
    /** The rules have errors, or there is no rule among them. */
    KESTREL_RULE_ERRORS = 2,
    /** The bytes are no pack that this build reads. */
    KESTREL_PACK_REFUSED = 3,
    /** The pack cannot be run: no such runtime, no code for it, or the code was refused. */
    KESTREL_ENGINE_REFUSED = 4,
    /** The document is no event. It is counted, and the engine goes on. */
    KESTREL_INVALID_DOCUMENT = 5,
    /** The engine is in the middle of another call. */
    KESTREL_BUSY = 6,
    /** The engine has been finished. */
    KESTREL_FINISHED = 7,
    /** A mistake of the library. The handle can be asked for its error and freed; please report it. */
    KESTREL_INTERNAL = 8
} kestrel_status;

/** What became of rules. */
typedef struct kestrel_compilation kestrel_compilation;
/** A pack that was read and checked. */
typedef struct kestrel_pack kestrel_pack;
/** A pack that runs over a stream of events. */
typedef struct kestrel_engine kestrel_engine;

/** The version of the library, such as "0.1.0". Lives as long as the library is loaded. */
const char *kestrel_version(void);

/** The version of the C API that the library speaks; goes with this header when it is KESTREL_API_VERSION. */
uint32_t kestrel_api_version(void);

/* ------------------------------------------------------------------------------------------------ rules to a pack -- */

/** One rule file in memory. */
typedef struct kestrel_rule_file {
    /** Its name. `.toml` is read as a rule in TOML, everything else as EQL; diagnostics show it. Not null. */
    const char *name;
    /** Its text; no zero byte is needed behind it. */
    const char *text;
    /** The length of the text in bytes. */
    size_t text_length;
} kestrel_rule_file;

/** A flag of kestrel_compile: leave out the rules that have errors and build the rest. */
#define KESTREL_COMPILE_KEEP_GOING 1u

/**
 * Compiles rule files to a pack, as `eqlc build` does. The same files under the same names give the same bytes.
 *
 * @param files        `count` rule files.
 * @param count        How many; at least one.
 * @param pack_name    What the pack is called; null means "rules".
 * @param flags        0 or KESTREL_COMPILE_KEEP_GOING. Other bits are refused.
 * @param compilation  Where to store the compilation; free it with kestrel_compilation_free().
 * @return KESTREL_OK when there is a pack; there may be diagnostics all the same: warnings, and with
 *         KESTREL_COMPILE_KEEP_GOING the errors of the rules that were left out. KESTREL_RULE_ERRORS when there is none:
 *         the diagnostics say why. KESTREL_INVALID_ARGUMENT.
 */
kestrel_status kestrel_compile(const kestrel_rule_file *files, size_t count, const char *pack_name, uint32_t flags,
                               kestrel_compilation **compilation);

/**
 * The bytes of the pack: what `eqlc build` writes to a file.
 *
 * @param length  Where to store their number. Not null.
 * @return The bytes, valid until the compilation is freed; null, with a length of 0, when there is no pack.
 */
const uint8_t *kestrel_compilation_pack(const kestrel_compilation *compilation, size_t *length);

/**
 * All diagnostics, one JSON object a line: {"file", "line", "column", "end_line", "end_column", "severity", "code",
 * "message", "labels", "notes", "help", "fix"}. Lines and columns count from 1.
 *
 * @param length  Where to store their length in bytes; may be null, for a zero byte stands behind them.
 * @return The lines, valid until the compilation is freed; an empty text when there are none. Never null.
 */
const char *kestrel_compilation_diagnostics(const kestrel_compilation *compilation, size_t *length);

/** Why there is no pack, in one sentence; empty when there is one. */
const char *kestrel_compilation_error(const kestrel_compilation *compilation);

/** Frees a compilation with its bytes and diagnostics. Null is allowed. */
void kestrel_compilation_free(kestrel_compilation *compilation);

/* --------------------------------------------------------------------------------------------------------- packs -- */

/**
 * Reads a pack from memory and checks everything in it; hostile bytes are refused, never run. The bytes are copied. Whom a
 * pack comes from is not checked.
 *
 * @param pack  Where to store the pack; free it with kestrel_pack_free().
 * @return KESTREL_OK, KESTREL_PACK_REFUSED with the reason as the pack's error, KESTREL_INVALID_ARGUMENT.
 */
kestrel_status kestrel_pack_open(const uint8_t *bytes, size_t length, kestrel_pack **pack);

/** The pack's manifest as JSON: name, rules, the fields and event kinds that it needs. Null when the pack was refused. */
const char *kestrel_pack_manifest(const kestrel_pack *pack);

/** The pack's content hash in 64 hexadecimal digits, as alerts show it. Null when the pack was refused. */
const char *kestrel_pack_content_hash(const kestrel_pack *pack);

/** Why the pack was refused; empty when it was not. */
const char *kestrel_pack_error(const kestrel_pack *pack);

/** Frees a pack. Engines that were made of it go on. Null is allowed. */
void kestrel_pack_free(kestrel_pack *pack);

/* -------------------------------------------------------------------------------------------------------- engine -- */

/**
 * Gets one alert: a line of JSON without its line end. Behind `length` bytes stands a zero byte. The line is gone when the
 * callback returns. It runs on the thread that called kestrel_engine_feed() or kestrel_engine_finish(), before that call
 * returns. It must return: no exception, no longjmp. It must not free its engine; other calls on it are answered with
 * KESTREL_BUSY.
 */
typedef void (*kestrel_alert_callback)(void *user, const char *line, size_t length);

/** What an engine did so far. New counters are only ever added at the end. */
typedef struct kestrel_counters {
    /** Documents that were events. */
    uint64_t events;
    /** Documents that were not. */
    uint64_t invalid_documents;
    /** Alerts told. */
    uint64_t alerts;
    /** Events that came with a timestamp before an earlier one's. */
    uint64_t late_events;
    /** Events whose predicates the interpreter decided because the runtime failed. Alerts are the same. */
    uint64_t runtime_failures;
    /** Partial matches that were given up to stay within the limits of state. */
    uint64_t evicted;
    /** Join keys that have state now. */
    uint64_t live_keys;
} kestrel_counters;

/**
 * Makes an engine of a pack. The alerts do not depend on the runtime.
 *
 * @param pack     A pack that was not refused. It may be freed as soon as this returns.
 * @param runtime  What evaluates predicates: "wasm" (sandboxed and limited), "lua" (runs the pack's Lua as trusted code) or
 *                 "interp" (the reference, slowest). Null means "wasm".
 * @param engine   Where to store the engine; free it with kestrel_engine_free().
 * @return KESTREL_OK, KESTREL_ENGINE_REFUSED with the reason as the engine's error, KESTREL_PACK_REFUSED when `pack` was
 *         refused, KESTREL_INVALID_ARGUMENT.
 */
kestrel_status kestrel_engine_new(const kestrel_pack *pack, const char *runtime, kestrel_engine **engine);

/**
 * Gives the engine the next event: one JSON object in ECS form, with nested objects or dotted keys. The order of the calls
 * is the order of the events; time is what the events say. Alerts that the event completes, or that waited for time to
 * pass, reach the callback before this returns.
 *
 * @param document  The JSON; at most 16 MiB.
 * @param callback  Gets the alerts. Not null.
 * @param user      Handed to the callback.
 * @return KESTREL_OK; KESTREL_INVALID_DOCUMENT when it is no event, with the reason as the engine's error, after which the
 *         engine goes on as if it had not been there; KESTREL_FINISHED, KESTREL_BUSY, KESTREL_INVALID_ARGUMENT;
 *         KESTREL_ENGINE_REFUSED when the engine was never made.
 */
kestrel_status kestrel_engine_feed(kestrel_engine *engine, const char *document, size_t length,
                                   kestrel_alert_callback callback, void *user);

/**
 * Says that there are no more events: alerts that waited for more time to pass reach the callback before this returns.
 * Afterwards the engine can be asked for its counters and freed.
 *
 * @return KESTREL_OK, or as kestrel_engine_feed().
 */
kestrel_status kestrel_engine_finish(kestrel_engine *engine, kestrel_alert_callback callback, void *user);

/**
 * Writes what the engine did so far.
 *
 * @param counters  Where to write.
 * @param size      sizeof(kestrel_counters), so that a program and a library of different age agree: counters that the
 *                  program does not know are left out, those that the library does not know are 0.
 * @return KESTREL_OK, KESTREL_BUSY, KESTREL_INVALID_ARGUMENT, KESTREL_ENGINE_REFUSED when the engine was never made.
 */
kestrel_status kestrel_engine_counters(kestrel_engine *engine, kestrel_counters *counters, size_t size);

/** The text of the engine's last failure; empty when nothing failed. Valid until the engine's next failure. */
const char *kestrel_engine_error(const kestrel_engine *engine);

/**
 * Frees an engine. Alerts that still wait are gone: call kestrel_engine_finish() first. Null is allowed. An engine in the
 * middle of a call is not freed.
 */
void kestrel_engine_free(kestrel_engine *engine);

#ifdef __cplusplus
}
#endif

#endif /* KESTREL_H */
