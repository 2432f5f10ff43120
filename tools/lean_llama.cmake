# Two changes to the build of llama-cpp-python; CMake includes this file right after its `project(llama_cpp)`.

# 1. Leave llama.cpp's `common` library out. It serves llama.cpp's own command-line tools (arguments, chat templates,
#    downloads); nothing in the Python bindings links it, yet it is a large share of the compile time. A normal
#    variable outranks the cache entry that the package forces to ON (CMake policies CMP0126 and CMP0077).
set(LLAMA_BUILD_COMMON OFF)

# 2. Keep GCC from breaking the AMX kernels. Its `_tile_loadconfig` (amxtileintrin.h, GCC 12 among others) tells the
#    optimizer that the instruction reads 8 bytes, when it reads 64: the stores to the other 56 are removed as dead,
#    the tile configuration is whatever was on the stack, and the first matrix product dies of SIGSEGV
#    (ggml-org/llama.cpp#20824). Dead-store elimination is therefore off for that one file.
function(slm_atlas_keep_amx_stores)
    if(TARGET ggml-cpu AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        get_target_property(source_dir ggml-cpu SOURCE_DIR)
        set_source_files_properties("${source_dir}/ggml-cpu/amx/mmq.cpp"
            TARGET_DIRECTORY ggml-cpu PROPERTIES COMPILE_OPTIONS "-fno-tree-dse;-fno-dse")
    endif()
endfunction()
cmake_language(DEFER CALL slm_atlas_keep_amx_stores)
