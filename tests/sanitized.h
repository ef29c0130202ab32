/* SPDX-License-Identifier: Apache-2.0 */
/* Whether AddressSanitizer looks on: such builds are ten times slower, and take fewer seeds. */
#ifndef OSKR_TESTS_SANITIZED_H
#define OSKR_TESTS_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#endif
