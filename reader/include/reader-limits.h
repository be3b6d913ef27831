/* SPDX-License-Identifier: Apache-2.0 */
/* What one document may cost. Every limit is said in the error that it makes. */
#pragma once

#define RDR_MAX_FILE_BYTES (4096ull << 20)    /* of the document as it lies on the disk */
#define RDR_MAX_PLAIN_BYTES (256ull << 20)    /* of a text file, HTML, CSV, RTF, …: they are held in memory */
#define RDR_MAX_UNPACKED_BYTES (384ull << 20) /* of all entries read from an archive together */
#define RDR_MAX_ENTRY_RATIO 1100u             /* unpacked to packed; DEFLATE itself ends at 1032 */
#define RDR_MAX_ENTRIES 65536u                /* of an archive */
#define RDR_MAX_TEXT_BYTES (128ull << 20)     /* of extracted text */
#define RDR_MAX_BLOCK_BYTES (64u << 10)       /* longer ones are cut at white space into several */
#define RDR_MAX_DEPTH 256u                    /* of elements in XML, of groups in RTF */
#define RDR_MAX_ELEMENTS 50000000u
#define RDR_MAX_PAGES 100000u
#define RDR_MAX_CELLS 1024u                   /* of a table's row; more are left out of it, said in a note */
#define RDR_MAX_MEMORY_BYTES (1536ull << 20)  /* of this process, mappings included */
#define RDR_MAX_CPU_SECONDS 60u
#define RDR_MAX_PASSWORD_BYTES 127u           /* of a PDF (ISO 32000-2, 7.6.4.3.3) */
#define RDR_MAX_PIXELS (64u << 20)            /* of a drawn page */
