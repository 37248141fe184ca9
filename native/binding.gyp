{
  "targets": [
    {
      "target_name": "cgfw",
      "sources": ["addon.cc", "object.cc", "map.cc", "prog.cc", "link.cc", "ring.cc", "interface.cc", "system.cc"],
      "include_dirs": ["<!@(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=8", "NAPI_DISABLE_CPP_EXCEPTIONS"],
      "cflags": ["<!@(pkg-config --cflags libbpf)", "-Wall", "-Wextra", "-Werror", "-Wno-cast-function-type"],
      "cflags_cc": ["-std=c++17"],
      "libraries": ["<!@(pkg-config --libs libbpf)"]
    }
  ]
}
