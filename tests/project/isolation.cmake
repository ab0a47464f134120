# cmake -D CTEST=... -D BUILD=... -D ISOLATED=... -P isolation.cmake - no test meets anybody
#
# Goal: each test of this build begins with tests/isolated, in whatever folder it is registered.
# Method: asks ctest for their commands. First on two tests of which one runs plainly: it is found.
function(find_plain json out)
  set(plain "")
  string(JSON count LENGTH "${json}" tests)
  math(EXPR last "${count} - 1")
  foreach(i RANGE ${last})
    string(JSON name GET "${json}" tests ${i} name)
    # A test whose program is not built has no command.
    string(JSON first ERROR_VARIABLE none GET "${json}" tests ${i} command 0)
    if(NOT first STREQUAL "${ISOLATED}")
      list(APPEND plain ${name})
    endif()
  endforeach()
  set(${out} "${plain}" PARENT_SCOPE)
endfunction()

find_plain("{\"tests\": [{\"name\": \"good\", \"command\": [\"${ISOLATED}\", \"x\"]},
                         {\"name\": \"bad\", \"command\": [\"x\", \"${ISOLATED}\"]}]}" found)
if(NOT found STREQUAL "bad")
  message(FATAL_ERROR "FAILED: of one good and one bad test the bad one is '${found}'")
endif()

execute_process(COMMAND ${CTEST} --test-dir ${BUILD} --show-only=json-v1
                OUTPUT_VARIABLE json COMMAND_ERROR_IS_FATAL ANY)
find_plain("${json}" found)
if(found)
  list(JOIN found ", " found)
  message(FATAL_ERROR "FAILED: these tests run without tests/isolated: ${found}; register them "
                      "with a function of tests/register.cmake")
endif()
