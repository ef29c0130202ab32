/* SPDX-License-Identifier: Apache-2.0 */
/* See keys.h. */
#include "crypto/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/ecdsa.h"

enum { FILE_SIZE_MAX = 16384 };

#define MAKE_KEY                                                           \
	"make one with: openssl ecparam -genkey -noout -name secp256k1 | " \
	"openssl pkcs8 -topk8 -nocrypt"
#define MAKE_PUBLIC "make it from the private key with: openssl pkey -pubout"

/* Which file is read, and where its error goes. */
struct source {
	const char *path;
	bool secret;
	char *error;
};

static int file_read(const struct source *source, uint8_t *bytes, uint32_t *size);
static int file_refuse(const struct source *source, int file);
static int pem_parse(const struct source *source, BIO *memory, EVP_PKEY **key);
static int pem_refuse(const struct source *source, BIO *memory);
static int key_public(
    const struct source *source, EVP_PKEY *key, uint8_t public33[CRYPTO_PUBLIC_SIZE]);
static int key_secret(const struct source *source, EVP_PKEY *key, struct key_pair *pair);

static int
refuse(const struct source *source, int status, const char *what)
{
	snprintf(source->error, KEYS_ERROR_SIZE, "%s: %s", source->path, what);
	return status;
}

/* Reads a file, parses it, and hands back a key of the right curve. */
static int
key_load(const struct source *source, EVP_PKEY **key)
{
	uint8_t bytes[FILE_SIZE_MAX];
	uint32_t size = 0;
	char group[32] = "";
	*key = NULL;
	int status = file_read(source, bytes, &size);
	if (status != 0)
		return status;
	BIO *memory = BIO_new_mem_buf(bytes, (int)size);
	status = memory == NULL ? refuse(source, -ENOMEM, "out of memory; free some")
				: pem_parse(source, memory, key);
	BIO_free(memory);
	crypto_erase(bytes, sizeof(bytes));
	if (status != 0)
		return status;
	size_t group_size = 0;
	if (!EVP_PKEY_is_a(*key, "EC") ||
	    !EVP_PKEY_get_utf8_string_param(
		*key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group), &group_size) ||
	    strcmp(group, "secp256k1") != 0)
		status = refuse(source, -EINVAL,
		    source->secret ? "not a key of the curve secp256k1; " MAKE_KEY
				   : "not a public key of the curve secp256k1; " MAKE_PUBLIC);
	if (status != 0) {
		EVP_PKEY_free(*key);
		*key = NULL;
	}
	ERR_clear_error();
	return status;
}

int
keys_load_secret(const char *path, struct key_pair *pair, char *error)
{
	struct source source = {path, true, error};
	EVP_PKEY *key;
	memset(pair, 0, sizeof(*pair));
	int status = key_load(&source, &key);
	if (status != 0)
		return status;
	status = key_secret(&source, key, pair);
	EVP_PKEY_free(key);
	ERR_clear_error();
	if (status != 0)
		crypto_erase(pair, sizeof(*pair));
	return status;
}

int
keys_load_public(const char *path, uint8_t public33[CRYPTO_PUBLIC_SIZE], char *error)
{
	struct source source = {path, false, error};
	EVP_PKEY *key;
	memset(public33, 0, CRYPTO_PUBLIC_SIZE);
	int status = key_load(&source, &key);
	if (status != 0)
		return status;
	status = key_public(&source, key, public33);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return status;
}

int
keys_match(const char *path, const struct key_pair *pair,
    const uint8_t public33[CRYPTO_PUBLIC_SIZE], char *error)
{
	struct source source = {path, true, error};
	if (memcmp(pair->public33, public33, CRYPTO_PUBLIC_SIZE) == 0)
		return 0;
	return refuse(&source, -EINVAL,
	    "does not belong to the public key of this node; copy the pair again");
}

int
keys_generate(struct key_pair *pair)
{
	for (;;) {
		struct ecdsa ecdsa;
		if (getrandom(pair->secret, sizeof(pair->secret), 0) !=
		    (ssize_t)sizeof(pair->secret))
			return -errno;
		int status = ecdsa_open(&ecdsa, pair->secret);
		if (status == -EINVAL)
			continue; /* not below the order: once in 2^127 draws */
		if (status == 0)
			ecdsa_own_public(&ecdsa, pair->public33);
		ecdsa_close(&ecdsa);
		return status;
	}
}

void
keys_generate_seeded(struct key_pair *pair, uint64_t seed, uint32_t index)
{
	struct {
		char tag[16];
		uint64_t seed;
		uint32_t index;
		uint32_t attempt;
	} text = {.tag = "oskr toy key v1", .seed = seed, .index = index};
	for (;; text.attempt++) {
		struct ecdsa ecdsa;
		check(SHA256((const uint8_t *)&text, sizeof(text), pair->secret) != NULL);
		int status = ecdsa_open(&ecdsa, pair->secret);
		if (status == 0)
			ecdsa_own_public(&ecdsa, pair->public33);
		ecdsa_close(&ecdsa);
		if (status == 0)
			return;
		check(status == -EINVAL);
	}
}

/* ---- Files ---------------------------------------------------------------- */

static int
file_read(const struct source *source, uint8_t *bytes, uint32_t *size)
{
	int file = open(source->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file < 0) {
		int status = -errno;
		char what[128];
		if (status == -ELOOP)
			return refuse(source, status, "is a symbolic link; name the file itself");
		snprintf(what, sizeof(what), "%s; give the path of a readable PEM file",
		    strerror(-status));
		return refuse(source, status, what);
	}
	int status = file_refuse(source, file);
	while (status == 0 && *size < FILE_SIZE_MAX) {
		ssize_t got = read(file, bytes + *size, FILE_SIZE_MAX - *size);
		if (got == 0)
			break;
		if (got < 0)
			status = refuse(source, -errno, "cannot be read; check the disk");
		else
			*size += (uint32_t)got;
	}
	close(file);
	if (status == 0 && *size == 0)
		status = refuse(source, -EINVAL,
		    source->secret ? "is empty; " MAKE_KEY : "is empty; " MAKE_PUBLIC);
	return status;
}

static int
file_refuse(const struct source *source, int file)
{
	struct stat about;
	if (fstat(file, &about) != 0)
		return refuse(source, -errno, "cannot be examined; check the file system");
	if (!S_ISREG(about.st_mode))
		return refuse(source, -EINVAL, "is not a regular file; name a PEM file");
	if (about.st_size > FILE_SIZE_MAX)
		return refuse(source, -EFBIG, "is too large for a key; name a PEM file");
	if (!source->secret)
		return 0;
	if (about.st_uid != geteuid())
		return refuse(
		    source, -EPERM, "belongs to another user; chown it to the user that runs this");
	if (about.st_mode & 077)
		return refuse(source, -EPERM, "is open to group or others; chmod 600 it");
	return 0;
}

/* ---- PEM -------------------------------------------------------------------- */

/* Never asks: an encrypted key is an error. */
static int
password_none(char *buffer, int size, int writing, void *context)
{
	(void)writing;
	if (size > 0)
		buffer[0] = '\0';
	*(bool *)context = true;
	return -1;
}

static int
pem_parse(const struct source *source, BIO *memory, EVP_PKEY **key)
{
	bool encrypted = false;
	ERR_clear_error();
	*key = source->secret ? PEM_read_bio_PrivateKey(memory, NULL, password_none, &encrypted)
			      : PEM_read_bio_PUBKEY(memory, NULL, password_none, &encrypted);
	if (*key != NULL)
		return 0;
	if (encrypted)
		return refuse(source, -EINVAL,
		    "is encrypted; decrypt it with: openssl pkcs8 -topk8 -nocrypt");
	return pem_refuse(source, memory);
}

/* Why nothing was read: no armour of the kind wanted, or what is in it. */
static int
pem_refuse(const struct source *source, BIO *memory)
{
	const char *armour = source->secret ? "PRIVATE KEY-----" : "PUBLIC KEY-----";
	char *bytes = NULL;
	ERR_clear_error();
	(void)BIO_reset(memory);
	long size = BIO_get_mem_data(memory, &bytes);
	if (memmem(bytes, (size_t)size, armour, strlen(armour)) == NULL)
		return refuse(source, -EINVAL,
		    source->secret ? "holds no private key in PEM; " MAKE_KEY
				   : "holds no public key in PEM; " MAKE_PUBLIC);
	return refuse(source, -EINVAL,
	    source->secret ? "is damaged, or no key of secp256k1; " MAKE_KEY
			   : "is damaged, or no key of secp256k1; " MAKE_PUBLIC);
}

static int
key_public(const struct source *source, EVP_PKEY *key, uint8_t public33[CRYPTO_PUBLIC_SIZE])
{
	uint8_t point[65];
	size_t size = 0;
	/* Compressed: the parity of y, then x (SEC 1, section 2.3.3). */
	if (!EVP_PKEY_get_octet_string_param(
		key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &size))
		return refuse(source, -EINVAL, "holds no public point; " MAKE_PUBLIC);
	if (size == sizeof(point) && point[0] == 0x04)
		point[0] = 0x02 | (point[64] & 1);
	else if (size != CRYPTO_PUBLIC_SIZE)
		return refuse(source, -EINVAL, "holds no finite point; " MAKE_PUBLIC);
	memcpy(public33, point, CRYPTO_PUBLIC_SIZE);
	return 0;
}

static int
key_secret(const struct source *source, EVP_PKEY *key, struct key_pair *pair)
{
	BIGNUM *scalar = NULL;
	struct ecdsa ecdsa;
	uint8_t derived33[CRYPTO_PUBLIC_SIZE];
	int size = -1;
	if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &scalar))
		size = BN_bn2binpad(scalar, pair->secret, CRYPTO_SECRET_SIZE);
	BN_clear_free(scalar);
	if (size != CRYPTO_SECRET_SIZE)
		return refuse(source, -EINVAL, "holds no usable scalar; " MAKE_KEY);
	int status = ecdsa_open(&ecdsa, pair->secret);
	if (status != 0)
		return refuse(source, status, "holds no scalar of secp256k1; " MAKE_KEY);
	ecdsa_own_public(&ecdsa, derived33);
	ecdsa_close(&ecdsa);
	status = key_public(source, key, pair->public33);
	if (status == 0 && memcmp(derived33, pair->public33, sizeof(derived33)) != 0)
		status = refuse(
		    source, -EINVAL, "holds a public key that is not the private key's; " MAKE_KEY);
	return status;
}
