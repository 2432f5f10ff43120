// What llama-bench needs of llama.cpp's `common/arg.cpp`, so that the argument parser, chat templates and downloads of
// all its programs need not be compiled. None of it runs while a test is timed. `-hf` (download) is left out.
#include "arg.h"

#include <cstdio>
#include <cstdlib>

static bool one_of(const std::string & value, const char * a, const char * b, const char * c, const char * d) {
    return value == a || value == b || value == c || value == d;
}

bool common_arg_utils::is_truthy(const std::string & value) { return one_of(value, "on", "enabled", "true", "1"); }
bool common_arg_utils::is_falsey(const std::string & value) { return one_of(value, "off", "disabled", "false", "0"); }
bool common_arg_utils::is_autoy(const std::string & value) { return one_of(value, "auto", "-1", "auto", "-1"); }

static void refuse() {
    fputs("error: this build of llama-bench has no -hf and no --list-devices; give a file with -m\n", stderr);
    exit(1);
}

void common_print_available_devices() { refuse(); }

common_models_handler common_models_handler_init(const common_params &, llama_example) {
    refuse();
    return {};
}

void common_models_handler_apply(common_models_handler &, common_params &, common_download_callback *) { refuse(); }
