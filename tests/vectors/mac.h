/* SPDX-License-Identifier: Apache-2.0 */
/* Published MAC vectors: RFC 4493, section 4, and RFC 4231, section 4. */

static const char cmac_key_vector[] = "2b7e151628aed2a6abf7158809cf4f3c";
static const char cmac_subkey1_vector[] = "fbeed618357133667c85e08f7236a8de";
static const char cmac_subkey2_vector[] = "f7ddac306ae266ccf90bc11ee46d513b";

static const struct {
	const char *data;
	const char *mac;
} cmac_vectors[] = {
    {"", "bb1d6929e95937287fa37d129b756746"},
    {"6bc1bee22e409f96e93d7e117393172a", "070a16b46b4d4144f79bdd9dd04a287c"},
    {"6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411",
	"dfa66747de9ae63030ca32611497c827"},
    {"6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
     "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
	"51f0bebf7e3b9d92fc49741779363cfe"},
};

/* A key or a text is `count` times a byte where its string is NULL. */
static const struct {
	const char *key;
	uint8_t key_byte;
	uint32_t key_count;
	const char *data;
	uint8_t data_byte;
	uint32_t data_count;
	const char *mac; /* the fifth case is published cut to 128 bits */
} hmac_vectors[] = {
    {.key_byte = 0x0b,
	.key_count = 20,
	.data = "Hi There",
	.mac = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {.key = "Jefe",
	.data = "what do ya want for nothing?",
	.mac = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {.key_byte = 0xaa,
	.key_count = 20,
	.data_byte = 0xdd,
	.data_count = 50,
	.mac = "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {.key = "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14"
	    "\x15\x16\x17\x18\x19",
	.data_byte = 0xcd,
	.data_count = 50,
	.mac = "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
    {.key_byte = 0x0c,
	.key_count = 20,
	.data = "Test With Truncation",
	.mac = "a3b6167473100ee06e0c796c2955552b"},
    {.key_byte = 0xaa,
	.key_count = 131,
	.data = "Test Using Larger Than Block-Size Key - Hash Key First",
	.mac = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    {.key_byte = 0xaa,
	.key_count = 131,
	.data = "This is a test using a larger than block-size key and a larger than "
		"block-size data. The key needs to be hashed before being used by the HMAC "
		"algorithm.",
	.mac = "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
};
