# Included by CMake right after llama-cpp-python's `project(llama_cpp)`: leaves llama.cpp's `common` library out
# of the build. It serves llama.cpp's own command-line tools (arguments, chat templates, downloads); nothing in
# the Python bindings links it, yet it is a large share of the compile time. A normal variable outranks the
# cache entry that the package forces to ON (CMake policies CMP0126 and CMP0077).
set(LLAMA_BUILD_COMMON OFF)
