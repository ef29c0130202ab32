/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of value an option may take: the words of each, and a function
 * for each kind that reads a row's text into its field. Private to config/;
 * start only.
 */
#ifndef OSKR_CONFIG_OPTION_VALUE_H
#define OSKR_CONFIG_OPTION_VALUE_H

#include "config/option_table.h"

/* Units of fields, for a row's scale, min and max. */
#define SECOND_NS 1000000000u
#define MILLI_NS  1000000u
#define MICRO_NS  1000u

/* Probabilities are read in billionths. */
#define PROBABILITY_SCALE 1000000000u

/* The words of each option that takes one of a few. */
extern const struct option_choice option_choices_profile[];
extern const struct option_choice option_choices_auth[];
extern const struct option_choice option_choices_request_auth[];
extern const struct option_choice option_choices_reply_auth[];
extern const struct option_choice option_choices_app[];
extern const struct option_choice option_choices_workload[];
extern const struct option_choice option_choices_distribution[];
extern const struct option_choice option_choices_cores[];
extern const struct option_choice option_choices_idle[];

/* Readers: 0, or -1 when `text` is no such value, the field untouched. */
int option_parse_u32(const struct option_row *row, const char *text, struct options *options);
int option_parse_u64(const struct option_row *row, const char *text, struct options *options);
int option_parse_probability(
    const struct option_row *row, const char *text, struct options *options);
int option_parse_flag(const struct option_row *row, const char *text, struct options *options);
int option_parse_choice(const struct option_row *row, const char *text, struct options *options);
int option_parse_text(const struct option_row *row, const char *text, struct options *options);
int option_parse_workload(const struct option_row *row, const char *text, struct options *options);
int option_parse_log_level(const struct option_row *row, const char *text, struct options *options);
int option_parse_ip(const struct option_row *row, const char *text, struct options *options);
int option_parse_nothing(const struct option_row *row, const char *text, struct options *options);

#endif
