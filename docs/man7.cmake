# Writes one page of section 7: cmake -D COMMAND=weir -D TOPIC=shmget -D EPOCH=0 -D OUTPUT=FILE -P
set(ENV{SOURCE_DATE_EPOCH} ${EPOCH})
execute_process(COMMAND ${COMMAND} explain --man ${TOPIC}
                OUTPUT_VARIABLE page RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "weir explain --man ${TOPIC} failed: ${status}")
endif()
file(WRITE ${OUTPUT} "${page}")
