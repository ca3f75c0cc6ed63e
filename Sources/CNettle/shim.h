// SPDX-License-Identifier: Apache-2.0
#include <nettle/hmac.h>
#include <nettle/sha2.h>
#include <nettle/version.h>

/// SHA-256 of so many octets, which may be none; `digest` has room for 32.
static inline void tollgate_sha256(size_t count, const uint8_t *octets, uint8_t *digest) {
    struct sha256_ctx context;
    sha256_init(&context);
    if (count > 0) sha256_update(&context, count, octets);
    // Nettle 4 takes no length.
#if NETTLE_VERSION_MAJOR >= 4
    sha256_digest(&context, digest);
#else
    sha256_digest(&context, SHA256_DIGEST_SIZE, digest);
#endif
}

/// Begins HMAC-SHA-256 under a key of so many octets, which may be none.
static inline void tollgate_hmac_sha256_set_key(
    struct hmac_sha256_ctx *context, size_t count, const uint8_t *key) {
    hmac_sha256_set_key(context, count, key);
}

/// HMAC-SHA-256 of so many octets, which may be none, under the key that `keyed` was begun with, which stays as it is; `digest`
/// has room for 32.
static inline void tollgate_hmac_sha256(
    const struct hmac_sha256_ctx *keyed, size_t count, const uint8_t *octets, uint8_t *digest) {
    struct hmac_sha256_ctx context = *keyed;
    if (count > 0) hmac_sha256_update(&context, count, octets);
#if NETTLE_VERSION_MAJOR >= 4
    hmac_sha256_digest(&context, digest);
#else
    hmac_sha256_digest(&context, SHA256_DIGEST_SIZE, digest);
#endif
}
