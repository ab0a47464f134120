# Registers tests, for all folders. Each runs in namespaces of its own (see tests/isolated) and
# fails when it leaves anything behind in System V IPC, /dev/shm or the process table.
#
#   weir_add_unit_test(NAME source... [TIMEOUT seconds])   a C program with cmocka; sees src/
#   weir_add_shell_test(NAME file.bats [TIMEOUT seconds])  the command line, with bats; $WEIR is
#                                                          the command, $WEIR_JSON 1 if it writes
#                                                          JSON, $WEIR_SOURCE the checkout,
#                                                          $WEIR_BUILD the build folder,
#                                                          $WEIR_COVERAGE 1 if lines are counted
#   weir_add_check(NAME command... [TIMEOUT seconds])      any command; the same environment
#
# Nothing else registers a test: the test "isolation" fails for one that does not begin with
# tests/isolated.
#
# What a machine lacks is skipped with a notice.

# Included by the topmost folder: what is set here is seen by all folders, since a function's
# variables are those of whoever calls it.
set(WEIR_ISOLATED ${CMAKE_CURRENT_LIST_DIR}/isolated)
set(WEIR_TEST_ENVIRONMENT WEIR_SOURCE=${PROJECT_SOURCE_DIR} WEIR_BUILD=${PROJECT_BINARY_DIR}
    WEIR_COVERAGE=$<$<BOOL:${WEIR_COVERAGE}>:1>)
if(TARGET weir_tool)
  list(APPEND WEIR_TEST_ENVIRONMENT WEIR=$<TARGET_FILE:weir_tool>
       WEIR_JSON=$<IF:$<BOOL:${JANSSON_LIBRARY}>,1,0>
       WEIR_SCREEN=$<IF:$<BOOL:${NCURSESW_LIBRARY}>,1,0>)
endif()

option(WEIR_TEST_STANDIN "Unit tests with tests/standin instead of cmocka (for musl)" OFF)
if(WEIR_TEST_STANDIN)
  set(WEIR_CMOCKA_INCLUDE_DIR ${CMAKE_CURRENT_LIST_DIR}/standin)
  set(WEIR_CMOCKA_LIBRARY "")
else()
  find_path(WEIR_CMOCKA_INCLUDE_DIR cmocka.h)
  find_library(WEIR_CMOCKA_LIBRARY cmocka)
  mark_as_advanced(WEIR_CMOCKA_INCLUDE_DIR WEIR_CMOCKA_LIBRARY)
endif()
if(WEIR_TEST_STANDIN OR (WEIR_CMOCKA_INCLUDE_DIR AND WEIR_CMOCKA_LIBRARY))
  set(WEIR_HAVE_CMOCKA TRUE)
else()
  message(STATUS "weir: cmocka is not here: unit tests are skipped (Debian: libcmocka-dev)")
endif()

find_program(BATS bats)
mark_as_advanced(BATS)
if(NOT BATS)
  message(STATUS "weir: bats is not here: tests of the command line are skipped (Debian: bats)")
endif()

# Who takes long begins early, so that not one of them alone is left at the end: in a fresh build
# folder ctest has no times of its own to go by. About seconds; the others count as 0.
set(WEIR_LONG_TESTS models 45 cli_scenes 30 cli_transfer 27 lane_lies 60 cli_demo 17 cli_explain 15
    cli_kills 14 wait_set_load 11 wait_set_load_without_io-uring 12 cli_scene_kills 11 sync_lies 11
    bank 10 lane_fetches 10 kill_end 10 lane_kill 10 places_kill 9 channel_overtaken 10
    lane_lies_pairs 15 channel_most 18
    wait_set_load_without_waitv 7 lane_descriptor_thread 8 lane_descriptor 7)

# seconds: empty for a minute
function(weir_test_properties name seconds)
  list(FIND WEIR_LONG_TESTS ${name} at)
  if(at GREATER -1)
    math(EXPR at "${at} + 1")
    list(GET WEIR_LONG_TESTS ${at} cost)
    set_tests_properties(${name} PROPERTIES COST ${cost})
  endif()
  if(NOT seconds)
    set(seconds 60)
  endif()
  if(WEIR_INSTRUMENT)
    math(EXPR seconds "4 * ${seconds}") # sanitizers take their time
  endif()
  # 77 is a test's way to say that the machine lacks what it needs.
  set_tests_properties(${name} PROPERTIES TIMEOUT ${seconds} SKIP_RETURN_CODE 77
                       ENVIRONMENT "${WEIR_TEST_ENVIRONMENT}")
endfunction()

# As a unit test is compiled.
function(weir_test_target target)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src ${CMAKE_CURRENT_SOURCE_DIR})
  target_include_directories(${target} SYSTEM PRIVATE ${WEIR_CMOCKA_INCLUDE_DIR})
  target_link_libraries(${target} PRIVATE weir_static ${WEIR_CMOCKA_LIBRARY})
endfunction()

# What tests are built of beside themselves (fixture.c is in most) is compiled once for all.
function(weir_test_parts parts)
  set(found)
  foreach(source ${ARGN})
    get_filename_component(part ${source} NAME_WE)
    if(source MATCHES "/|^test_")
      list(APPEND found ${source})
      continue()
    endif()
    if(NOT TARGET part_${part})
      add_library(part_${part} OBJECT ${source})
      weir_test_target(part_${part})
    endif()
    list(APPEND found $<TARGET_OBJECTS:part_${part}>)
  endforeach()
  set(${parts} ${found} PARENT_SCOPE)
endfunction()

function(weir_add_unit_test name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "TIMEOUT" "")
  if(NOT WEIR_HAVE_CMOCKA)
    return()
  endif()
  weir_test_parts(parts ${ARG_UNPARSED_ARGUMENTS})
  add_executable(test_${name} ${parts})
  weir_test_target(test_${name})
  add_test(NAME ${name} COMMAND ${WEIR_ISOLATED} $<TARGET_FILE:test_${name}>)
  weir_test_properties(${name} "${ARG_TIMEOUT}")
endfunction()

function(weir_add_shell_test name file)
  cmake_parse_arguments(PARSE_ARGV 2 ARG "" "TIMEOUT" "")
  if(NOT BATS OR NOT TARGET weir_tool)
    return()
  endif()
  get_filename_component(path ${file} ABSOLUTE)
  # Without jansson the command writes no JSON: a file that reads it and does not skip by itself.
  file(STRINGS ${path} json REGEX " -J|--json|jq ")
  file(STRINGS ${path} careful REGEX "needs_json")
  if(json AND NOT careful AND NOT JANSSON_LIBRARY)
    message(STATUS "weir: jansson is not here: the tests ${name} are skipped")
    return()
  endif()
  add_test(NAME ${name} COMMAND ${WEIR_ISOLATED} ${BATS} --tap ${path})
  weir_test_properties(${name} "${ARG_TIMEOUT}")
endfunction()

function(weir_add_check name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "TIMEOUT" "")
  add_test(NAME ${name} COMMAND ${WEIR_ISOLATED} ${ARG_UNPARSED_ARGUMENTS})
  weir_test_properties(${name} "${ARG_TIMEOUT}")
endfunction()
