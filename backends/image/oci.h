/*
 * An OCI image layout: from index.json to what its layers are and how its program is run.
 *
 * OCI image specification 1.0, "Image Layout", "Image Index", "Image Manifest", "Image
 * Configuration"; Docker's media types mean the same. Everything is hostile: documents are
 * bounded in size, depth and number of entries, blobs are what their digests say, or refused.
 */
#ifndef BACKENDS_IMAGE_OCI_H
#define BACKENDS_IMAGE_OCI_H

#include <stdint.h>

#include "backends/image/digest.h"
#include "backends/image/source.h"

#define OCI_LAYERS_MAX	 512
#define OCI_DOCUMENT_MAX (4u << 20)

struct oci_descriptor {
	char digest[DIGEST_TEXT];
	uint64_t size;
};

struct oci_image {
	struct oci_descriptor manifest, config;
	struct oci_descriptor layers[OCI_LAYERS_MAX]; /* the lowest first */
	size_t nlayers;
	uint64_t bytes; /* of all layers */
	/*
	 * Lines "KEY VALUE": entrypoint, cmd (quoted as for argv_split()), env, user, workdir,
	 * stop.signal, platform. What is no line of text is left out.
	 */
	struct text run;
};

/* Where it lies: "blobs/sha256/...". */
void oci_blob_name(const char digest[DIGEST_TEXT], char ret[96]);

/*
 * ref: the image's name in the index (org.opencontainers.image.ref.name); "": the only one, or
 * the only one for this kind of CPU.
 */
int oci_read(struct source *s, const char *ref, struct oci_image *ret, struct err *e);
void oci_free(struct oci_image *i);

/* The parts, for tests: each reads one document. */
int oci_parse_index(const char *text, size_t len, const char *ref, struct oci_descriptor *ret,
		    bool *ret_index, struct err *e);
int oci_parse_manifest(const char *text, size_t len, struct oci_image *ret, struct err *e);
int oci_parse_config(const char *text, size_t len, struct text *run, struct err *e);

#endif
