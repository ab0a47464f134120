# The manual's section 7: docs/textbook.md, a page for each topic, written by the command itself.
# Needs WEIR_MAN_FOLDER.
set(WEIR_TEXTBOOK ${PROJECT_SOURCE_DIR}/docs/textbook.md)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${WEIR_TEXTBOOK})
file(STRINGS ${WEIR_TEXTBOOK} headings REGEX "^## [a-z_]+$")
list(TRANSFORM headings REPLACE "^## " "" OUTPUT_VARIABLE WEIR_TOPICS)

if(TARGET weir_tool AND NOT CMAKE_CROSSCOMPILING)
  string(TIMESTAMP epoch "%s" UTC) # SOURCE_DATE_EPOCH is respected
  set(pages)
  foreach(topic textbook ${WEIR_TOPICS})
    set(page ${WEIR_MAN_FOLDER}/man7/weir-${topic}.7)
    add_custom_command(OUTPUT ${page}
        COMMAND ${CMAKE_COMMAND} -D COMMAND=$<TARGET_FILE:weir_tool> -D TOPIC=${topic}
                -D EPOCH=${epoch} -D OUTPUT=${page} -P ${CMAKE_CURRENT_SOURCE_DIR}/man7.cmake
        DEPENDS weir_tool ${CMAKE_CURRENT_SOURCE_DIR}/man7.cmake
        COMMENT "Manual: weir-${topic}(7)" VERBATIM)
    list(APPEND pages ${page})
  endforeach()
  add_custom_target(man7 ALL DEPENDS ${pages})
  install(DIRECTORY ${WEIR_MAN_FOLDER}/man7 DESTINATION ${CMAKE_INSTALL_MANDIR})
else()
  message(STATUS "weir: the manual's section 7 is skipped: the command that writes it is not built")
endif()
