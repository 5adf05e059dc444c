/* The documents of an OCI image layout: see oci.h. */
#include "backends/image/oci.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "backends/base/argv.h"

#define INDEX_ENTRIES_MAX 1024
#define INDEX_NESTED_MAX  4
#define CPU		  "amd64"

static int refuse(struct err *e, const char *what)
{
	return err_set(e, -EINVAL, "source: %s", what);
}

/* An object, however it came; the decoder bounds its depth. */
static int document(const char *text, size_t len, const char *name, json_t **ret, struct err *e)
{
	json_error_t why;

	*ret = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (!*ret)
		return err_set(e, -EINVAL, "source: its %s, line %d: %.100s", name, why.line,
			       why.text);
	if (json_is_object(*ret))
		return 0;
	json_decref(*ret);
	*ret = NULL;
	return err_set(e, -EINVAL, "source: its %s is no JSON object", name);
}

static const char *string_of(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

static int descriptor_parse(const json_t *d, struct oci_descriptor *ret, struct err *e)
{
	const char *digest = string_of(d, "digest");
	const json_t *size = json_object_get(d, "size");

	if (!strncmp(digest, "sha512:", 7))
		return err_set(e, -ENXIO,
			       "source: a blob is named by sha512; only sha256 is known");
	if (!digest_valid(digest))
		return err_set(e, -EINVAL, "source: \"%.80s\" is not a digest", digest);
	if (!json_is_integer(size) || json_integer_value(size) < 0)
		return err_set(e, -EINVAL, "source: blob %s has no size", digest);
	strcpy(ret->digest, digest);
	ret->size = (uint64_t)json_integer_value(size);
	return 0;
}

/* ---- the index ---- */

static bool is_index(const char *media)
{
	return !strcmp(media, "application/vnd.oci.image.index.v1+json") ||
	       !strcmp(media, "application/vnd.docker.distribution.manifest.list.v2+json");
}

static bool is_manifest(const char *media)
{
	return !strcmp(media, "application/vnd.oci.image.manifest.v1+json") ||
	       !strcmp(media, "application/vnd.docker.distribution.manifest.v2+json");
}

static const char *ref_of(const json_t *d)
{
	return string_of(json_object_get(d, "annotations"), "org.opencontainers.image.ref.name");
}

/* Says nothing of its platform, or that it is ours. */
static bool is_for_us(const json_t *d)
{
	const json_t *platform = json_object_get(d, "platform");

	return !platform || (!strcmp(string_of(platform, "architecture"), CPU) &&
			     !strcmp(string_of(platform, "os"), "linux"));
}

static bool is_wanted(const json_t *d, const char *ref)
{
	if (!is_index(string_of(d, "mediaType")) && !is_manifest(string_of(d, "mediaType")))
		return false;
	return *ref ? !strcmp(ref_of(d), ref) : is_for_us(d);
}

/* Several may be the same one by several names; of others the user must say which. */
static int choose(const json_t *list, const char *ref, const json_t **ret, struct err *e)
{
	const json_t *found = NULL;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *d = json_array_get(list, i);

		if (!is_wanted(d, ref))
			continue;
		if (found && strcmp(string_of(found, "digest"), string_of(d, "digest")))
			return err_set(e, -EINVAL,
				       "source.ref: there are several images, \"%.60s\" and "
				       "\"%.60s\" among them; name one",
				       ref_of(found), ref_of(d));
		found = d;
	}
	if (!found && *ref)
		return err_set(e, -ENOENT, "source.ref: there is no image \"%.100s\"", ref);
	if (!found)
		return err_set(e, -ENOENT, "source: there is no image for linux on " CPU);
	*ret = found;
	return 0;
}

int oci_parse_index(const char *text, size_t len, const char *ref, struct oci_descriptor *ret,
		    bool *ret_index, struct err *e)
{
	const json_t *list, *one = NULL;
	json_t *index;
	int rc = document(text, len, "index", &index, e);

	if (rc < 0)
		return rc;
	list = json_object_get(index, "manifests");
	if (!json_is_array(list) || json_array_size(list) > INDEX_ENTRIES_MAX)
		rc = refuse(e, "its index has no list of manifests");
	if (rc == 0)
		rc = choose(list, ref, &one, e);
	if (rc == 0)
		rc = descriptor_parse(one, ret, e);
	if (rc == 0)
		*ret_index = is_index(string_of(one, "mediaType"));
	json_decref(index);
	return rc;
}

/* ---- the manifest ---- */

static bool is_layer(const char *media)
{
	static const char *const known[] = {
		"application/vnd.oci.image.layer.v1.tar",
		"application/vnd.oci.image.layer.nondistributable.v1.tar",
		"application/vnd.docker.image.rootfs.diff.tar",
	};
	static const char *const packed[] = { "", "+gzip", "+zstd", ".gzip", ".zstd" };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		for (size_t j = 0; j < sizeof(packed) / sizeof(packed[0]); j++) {
			size_t n = strlen(known[i]);

			if (!strncmp(media, known[i], n) && !strcmp(media + n, packed[j]))
				return true;
		}
	return false;
}

static int layers_parse(const json_t *list, struct oci_image *ret, struct err *e)
{
	int rc = 0;

	if (!json_is_array(list) || json_array_size(list) > OCI_LAYERS_MAX)
		return refuse(e, "its manifest has no list of layers, or too many");
	for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
		const json_t *d = json_array_get(list, i);
		struct oci_descriptor *layer = &ret->layers[ret->nlayers];

		if (!is_layer(string_of(d, "mediaType")))
			return err_set(e, -EINVAL, "source: a layer of an unknown type, \"%.100s\"",
				       string_of(d, "mediaType"));
		rc = descriptor_parse(d, layer, e);
		if (rc == 0 && layer->size > INT64_MAX - ret->bytes)
			rc = refuse(e, "its layers have more bytes than there are");
		if (rc == 0) {
			ret->bytes += layer->size;
			ret->nlayers++;
		}
	}
	return rc;
}

int oci_parse_manifest(const char *text, size_t len, struct oci_image *ret, struct err *e)
{
	json_t *manifest;
	int rc = document(text, len, "manifest", &manifest, e);

	if (rc < 0)
		return rc;
	rc = descriptor_parse(json_object_get(manifest, "config"), &ret->config, e);
	if (rc == 0)
		rc = layers_parse(json_object_get(manifest, "layers"), ret, e);
	json_decref(manifest);
	return rc;
}

/* ---- the configuration ---- */

static void run_line(struct text *run, const char *key, const char *value)
{
	if (*value && text_line_valid(value))
		text_addf(run, "%s %s\n", key, value);
}

/* Nothing of a command of which a part cannot be said. */
static void run_command(struct text *run, const char *key, const json_t *words)
{
	struct text line = TEXT_INIT;
	bool whole = json_array_size(words) > 0;

	for (size_t i = 0; whole && i < json_array_size(words); i++) {
		const char *word = json_string_value(json_array_get(words, i));

		whole = word && text_line_valid(word);
		if (!whole)
			break;
		if (i)
			text_add(&line, " ");
		argv_quote(&line, word);
	}
	if (whole && line.len <= ARGV_LINE_MAX)
		run_line(run, key, text_str(&line));
	text_free(&line);
}

static void run_env(struct text *run, const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *one = json_string_value(json_array_get(list, i));

		if (one && *one != '=' && strchr(one, '='))
			run_line(run, "env", one);
	}
}

int oci_parse_config(const char *text, size_t len, struct text *run, struct err *e)
{
	const json_t *c;
	json_t *config;
	char platform[64];
	int rc = document(text, len, "configuration", &config, e);

	if (rc < 0)
		return rc;
	c = json_object_get(config, "config");
	run_command(run, "entrypoint", json_object_get(c, "Entrypoint"));
	run_command(run, "cmd", json_object_get(c, "Cmd"));
	run_env(run, json_object_get(c, "Env"));
	run_line(run, "user", string_of(c, "User"));
	run_line(run, "workdir", string_of(c, "WorkingDir"));
	run_line(run, "stop.signal", string_of(c, "StopSignal"));
	snprintf(platform, sizeof(platform), "%.20s/%.20s", string_of(config, "os"),
		 string_of(config, "architecture"));
	run_line(run, "platform", platform);
	json_decref(config);
	return text_failed(run) ? err_sys(e, ENOMEM, "source") : 0;
}

/* ---- all of it ---- */

void oci_blob_name(const char digest[DIGEST_TEXT], char ret[96])
{
	snprintf(ret, 96, "blobs/sha256/%s", digest + 7);
}

/* A document that is what its descriptor says. */
static int read_document(struct source *s, const struct oci_descriptor *d, struct text *out,
			 struct err *e)
{
	char name[96], digest[DIGEST_TEXT];
	int rc;

	text_clear(out);
	oci_blob_name(d->digest, name);
	rc = source_read(s, name, OCI_DOCUMENT_MAX, out, digest, e);
	if (rc == 0 && (out->len != d->size || strcmp(digest, d->digest)))
		return err_set(e, -EINVAL, "source: blob %s is another one: %s", d->digest, digest);
	return rc;
}

static int find_manifest(struct source *s, const char *ref, struct oci_image *image,
			 struct text *text, struct err *e)
{
	bool index = true;
	int rc = source_read(s, "index.json", OCI_DOCUMENT_MAX, text, NULL, e);

	for (int depth = 0; rc == 0 && index; depth++) {
		if (depth == INDEX_NESTED_MAX)
			return refuse(e, "an index in an index in an index ...");
		rc = oci_parse_index(text_str(text), text->len, depth ? "" : ref, &image->manifest,
				     &index, e);
		if (rc == 0)
			rc = read_document(s, &image->manifest, text, e);
	}
	return rc;
}

int oci_read(struct source *s, const char *ref, struct oci_image *ret, struct err *e)
{
	struct text text = TEXT_INIT;
	int rc = find_manifest(s, ref, ret, &text, e);

	if (rc == 0)
		rc = oci_parse_manifest(text_str(&text), text.len, ret, e);
	if (rc == 0)
		rc = read_document(s, &ret->config, &text, e);
	if (rc == 0)
		rc = oci_parse_config(text_str(&text), text.len, &ret->run, e);
	text_free(&text);
	return rc;
}

void oci_free(struct oci_image *i)
{
	text_free(&i->run);
}
