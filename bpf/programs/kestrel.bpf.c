// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The kernel programs, a part for each area: each program is a thin sequence of ask the filter, fill, send.
 *
 * A value that cannot be read is a flag on its record, never a missing record.
 */
#include "kestrel_types.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "kestrel_maps.h"
#include "kestrel_path.h"
#include "kestrel_task.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#include "exec.bpf.h"
#include "process.bpf.h"
#include "network.bpf.h"
#include "memory.bpf.h"
#include "file.bpf.h"
#include "tier_a_file.bpf.h"
